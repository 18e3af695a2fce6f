public import CoordinationCore
import Glibc

/// The labels that every worker has unless it is given others of these names: what this machine is.
public enum BuiltInLabels {
  /// `os`, `arch`, `host`, `cpus` and `memory_mb`; those that the machine does not tell are left out.
  public static func read() -> WorkerLabels {
    var labels = WorkerLabels()
    var system = utsname()
    // SAFETY: uname fills the local it is given.
    if unsafe uname(&system) == 0 {
      set("os", text(system.sysname).lowercased(), in: &labels)
      set("arch", text(system.machine), in: &labels)
      set("host", String(text(system.nodename).prefix { $0 != "." }), in: &labels)
    }
    set("cpus", number(sysconf(Int32(_SC_NPROCESSORS_ONLN))), in: &labels)
    let (pages, size) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
    let (bytes, isTooLarge) = pages.multipliedReportingOverflow(by: size)
    if !isTooLarge { set("memory_mb", number(bytes >> 20), in: &labels) }
    return labels
  }

  private static func set(_ name: String, _ value: String, in labels: inout WorkerLabels) {
    // A machine whose name cannot be a label has none.
    if !value.isEmpty { try? labels.set(name, value) }
  }

  private static func number(_ value: Int) -> String { value > 0 ? "\(value)" : "" }

  private static func text<Field>(_ field: Field) -> String {
    // SAFETY: the fields of `utsname` are arrays of characters that end with a zero.
    unsafe withUnsafeBytes(of: field) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
