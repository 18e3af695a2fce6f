import CLibEv
import Glibc

/// One process as `/proc/PID/stat` described it a moment ago.
public struct ProcessEntry: Equatable, Sendable {
  public let pid: Int32
  /// `R` running, `S` sleeping, `D` uninterruptible, `T` stopped, `Z` ended but not reaped, …
  public let state: Character
  public let parent: Int32
  public let group: Int32
  public let session: Int32

  /// Whether it can still execute anything.
  public var isAlive: Bool { state != "Z" && state != "X" }
}

/// The system's processes, and what a process that looks after others needs to know of its own.
public enum ProcessTable {
  /// Makes orphaned descendants children of this process rather than of init, so that they can be found and reaped.
  public static func adoptOrphans() -> Bool { lifeline_adopt_orphans() == 0 }

  /// Reaps children that have ended, but not `exception`, which somebody else waits for.
  ///
  /// Returns false when no child is left at all.
  public static func reapChildren(except exception: Int32? = nil) -> Bool {
    while true {
      switch lifeline_ended_child() {
      case -1: return false
      case 0: return true
      case let pid where pid == exception: return true
      case let pid:
        // It has ended, so this returns at once.
        _ = waitpid(pid, nil, 0)
      }
    }
  }

  /// Every process that can be seen; a snapshot that is never quite up to date.
  public static func entries() -> [ProcessEntry] { pids().compactMap(entry(of:)) }

  /// The children of this process that are still alive. None of their numbers can be given away before we reap it.
  public static func livingChildren() -> [Int32] {
    let me = getpid()
    return entries().filter { $0.parent == me && $0.isAlive }.map(\.pid)
  }

  /// nil when there is no such process.
  public static func entry(of pid: Int32) -> ProcessEntry? {
    // The name in parentheses may contain anything, parentheses and spaces too; the last one ends it.
    guard let text = contents("/proc/\(pid)/stat", maxBytes: 4096), let end = text.lastIndex(of: UInt8(ascii: ")"))
    else { return nil }
    let fields = text[text.index(after: end)...].split(separator: UInt8(ascii: " "))
    guard fields.count > 3, let state = fields[0].first, let parent = number(fields[1]), let group = number(fields[2]),
      let session = number(fields[3])
    else { return nil }
    return ProcessEntry(
      pid: pid, state: Character(UnicodeScalar(state)), parent: parent, group: group, session: session)
  }

  /// Whether the environment that a process was started with has the variable `name` with a value that begins with
  /// `prefix`. False as well when we may not look.
  public static func environment(of pid: Int32, has name: String, beginningWith prefix: String) -> Bool {
    guard let bytes = contents("/proc/\(pid)/environ", maxBytes: 4 << 20) else { return false }
    let wanted = Array("\(name)=\(prefix)".utf8)
    return bytes.split(separator: 0).contains { $0.starts(with: wanted) }
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> Int32? { Int32(String(decoding: digits, as: UTF8.self)) }

  private static func pids() -> [Int32] {
    // SAFETY: the stream is used and closed here; entries are valid until the next readdir.
    guard let folder = unsafe opendir("/proc") else { return [] }
    defer { unsafe closedir(folder) }
    var pids: [Int32] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
      if let pid = number(name[...]) { pids.append(pid) }
    }
    return pids
  }

  private static func contents(_ path: String, maxBytes: Int) -> [UInt8]? {
    // SAFETY: the path is a C string for the call's duration.
    let descriptor = unsafe Glibc.open(path, O_RDONLY | Int32(LIFELINE_O_CLOEXEC))
    guard descriptor >= 0 else { return nil }
    defer { System.close(descriptor) }
    var result: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while result.count < maxBytes {
      let transfer = unsafe chunk.withUnsafeMutableBytes { unsafe System.read(descriptor, into: $0) }
      guard case .bytes(let count) = transfer else { break }
      result.append(contentsOf: chunk[..<count])
    }
    return result.isEmpty ? nil : result
  }
}
