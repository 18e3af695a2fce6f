import Glibc
import Primitives
import Reactor

/// What this process uses, by the system's account. Each reading opens files of `/proc`: for every few seconds, not for
/// every message.
struct ProcessStatistics {
  /// 0 where the system does not say.
  var residentBytes = 0
  var virtualBytes = 0
  var openDescriptors = 0
  var maxDescriptors = 0
  /// Processor time of all its threads, in user mode and in the kernel.
  var processorSeconds = 0.0

  static func read() -> ProcessStatistics {
    var statistics = ProcessStatistics()
    let pages = contents(of: "/proc/self/statm").split(separator: " ").compactMap { Int($0) }
    if pages.count > 1 {
      let pageBytes = sysconf(Int32(_SC_PAGESIZE))
      statistics.virtualBytes = pages[0].multipliedReportingOverflow(by: pageBytes).partialValue
      statistics.residentBytes = pages[1].multipliedReportingOverflow(by: pageBytes).partialValue
    }
    var time = timespec()
    // SAFETY: the kernel fills the local it is given.
    if unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 {
      statistics.processorSeconds = Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    var limit = rlimit()
    // SAFETY: as above.
    if unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      statistics.maxDescriptors = Int(clamping: limit.rlim_cur)
    }
    statistics.openDescriptors = entries(in: "/proc/self/fd")
    return statistics
  }

  /// When this process started.
  static let startedAt: WallTime = {
    let now = SystemWallClock.now()
    // The program's name, in parentheses, may hold anything; the 22nd field counts clock ticks since the machine started.
    let fields = contents(of: "/proc/self/stat").split(separator: ")").last?.split(separator: " ") ?? []
    let uptime = contents(of: "/proc/uptime").split(separator: " ").first.flatMap { Double($0) }
    let ticks = sysconf(Int32(_SC_CLK_TCK))
    guard fields.count > 19, let started = Double(fields[19]), let uptime, ticks > 0 else { return now }
    let age = max(0, uptime - started / Double(ticks))
    return WallTime(milliseconds: now.milliseconds - Int64(age * 1_000))
  }()

  private static func contents(of path: String) -> String {
    // SAFETY: the path lives for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 4_096)
    // SAFETY: the kernel writes at most the buffer's bytes.
    let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  }

  /// How many entries a folder has; the descriptor that reads it is not counted.
  private static func entries(in path: String) -> Int {
    // SAFETY: the path lives for the call; the stream is closed below and not used afterwards.
    guard let folder = unsafe opendir(path) else { return 0 }
    defer { unsafe closedir(folder) }
    var count = 0
    while unsafe readdir(folder) != nil { count += 1 }
    // Itself, `.` and `..`.
    return max(0, count - 3)
  }
}
