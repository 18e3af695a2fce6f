import Glibc

/// The process under load, as `/proc` shows it.
struct ServerProcess {
  /// Processor time of all its threads, those that have ended included.
  struct ProcessorTime {
    /// Nanoseconds.
    var total: UInt64
    /// Clock ticks that found it in user mode, and in the kernel: how the total is divided, no more precise than the
    /// number of ticks.
    var userTicks: UInt64
    var systemTicks: UInt64

    static func - (later: ProcessorTime, earlier: ProcessorTime) -> ProcessorTime {
      ProcessorTime(
        total: later.total - earlier.total, userTicks: later.userTicks - earlier.userTicks,
        systemTicks: later.systemTicks - earlier.systemTicks)
    }

    var userShare: Double {
      let ticks = userTicks + systemTicks
      return ticks == 0 ? 0 : Double(userTicks) / Double(ticks)
    }
  }

  let pid: Int32

  init(pid: Int32) throws(LoadError) {
    self.pid = pid
    _ = try processorTime()
  }

  func processorTime() throws(LoadError) -> ProcessorTime {
    // The program's name, in parentheses, may hold anything; the fields after it are numbers. utime is the 14th.
    let stat = try contents("stat")
    let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12, let user = UInt64(fields[11]), let system = UInt64(fields[12]) else {
      throw LoadError("cannot understand /proc/\(pid)/stat")
    }
    return ProcessorTime(total: try nanoseconds(ticks: user + system), userTicks: user, systemTicks: system)
  }

  /// Ticks are 10 ms; the scheduler knows each thread's time to the nanosecond. Both count the same time.
  private func nanoseconds(ticks: UInt64) throws(LoadError) -> UInt64 {
    var clock: clockid_t = 0
    if clock_getcpuclockid(pid, &clock) == 0 { return Clocks.read(clock) }
    return ticks * (1_000_000_000 / UInt64(sysconf(Int32(_SC_CLK_TCK))))
  }

  /// Resident bytes. `smaps_rollup` counts pages; `VmRSS` may lag behind by 64 pages a thread, and is what is left
  /// where the former may not be read.
  func residentBytes() throws(LoadError) -> Int {
    for (file, label) in [("smaps_rollup", "Rss:"), ("status", "VmRSS:")] {
      guard let text = try? contents(file) else { continue }
      for line in text.split(separator: "\n") where line.hasPrefix(label) {
        if let kibibytes = line.split(separator: " ").compactMap({ Int($0) }).first { return kibibytes * 1024 }
      }
    }
    throw LoadError("cannot find the resident size of process \(pid)")
  }

  private func contents(_ name: String) throws(LoadError) -> String {
    let path = "/proc/\(pid)/\(name)"
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system("open \(path)") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(descriptor, &chunk, chunk.count)
      guard count >= 0 else { throw .system("read \(path)") }
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }
}
