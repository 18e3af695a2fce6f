import Glibc

/// A process, as `/proc` shows it: the server under load, or this one.
struct ObservedProcess {
  /// Processor time of all its threads, those that have ended included.
  struct ProcessorTime {
    /// Nanoseconds.
    var total: UInt64
    /// Clock ticks that found it in user mode, and in the kernel: how the total is divided, no more precise than the
    /// number of ticks.
    var userTicks: UInt64
    var systemTicks: UInt64
    /// Nanoseconds that threads which live now wanted to run and did not, for somebody else had the core.
    var delayed: UInt64

    static func - (later: ProcessorTime, earlier: ProcessorTime) -> ProcessorTime {
      ProcessorTime(
        total: later.total - earlier.total, userTicks: later.userTicks - earlier.userTicks,
        systemTicks: later.systemTicks - earlier.systemTicks,
        delayed: later.delayed > earlier.delayed ? later.delayed - earlier.delayed : 0)
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
    return ProcessorTime(
      total: nanoseconds(ticks: user + system), userTicks: user, systemTicks: system, delayed: delayed())
  }

  /// Ticks are 10 ms; the scheduler knows each thread's time to the nanosecond. Both count the same time.
  private func nanoseconds(ticks: UInt64) -> UInt64 {
    var clock: clockid_t = 0
    if clock_getcpuclockid(pid, &clock) == 0 { return Clocks.read(clock) }
    return ticks * (1_000_000_000 / UInt64(sysconf(Int32(_SC_CLK_TCK))))
  }

  /// The second number of each thread's `schedstat`; a kernel without it counts as one where nobody waits.
  private func delayed() -> UInt64 {
    guard let tasks = opendir("/proc/\(pid)/task") else { return 0 }
    defer { closedir(tasks) }
    var sum: UInt64 = 0
    while let entry = readdir(tasks) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard Int(name) != nil, let text = try? contents("task/\(name)/schedstat") else { continue }
      let fields = text.split { $0 == " " || $0 == "\n" }
      if fields.count > 1, let delay = UInt64(fields[1]) { sum += delay }
    }
    return sum
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
