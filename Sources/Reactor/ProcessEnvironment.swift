import CLibEv

/// The variables that this process was started with; nothing in these programs changes them while they are read.
package enum ProcessEnvironment {
  /// Those whose names `isWanted` accepts.
  package static func variables(where isWanted: (String) -> Bool = { _ in true }) -> [String: String] {
    var variables: [String: String] = [:]
    forEach { assignment in
      guard let sign = assignment.firstIndex(of: UInt8(ascii: "=")) else { return }
      let name = String(decoding: assignment[..<sign], as: UTF8.self)
      if isWanted(name) { variables[name] = String(decoding: assignment[(sign + 1)...], as: UTF8.self) }
    }
    return variables
  }

  /// The names of all of them, which need not be text.
  package static func names() -> [[UInt8]] {
    var names: [[UInt8]] = []
    forEach { names.append(Array($0.prefix { $0 != UInt8(ascii: "=") })) }
    return names
  }

  private static func forEach(_ body: ([UInt8]) -> Void) {
    // SAFETY: the list ends with a null pointer, its strings with a null byte, and nobody changes them meanwhile.
    guard var entry = unsafe lifeline_environment() else { return }
    while let text = unsafe entry.pointee {
      var assignment: [UInt8] = []
      var place = unsafe text
      while unsafe place.pointee != 0 {
        unsafe assignment.append(UInt8(bitPattern: place.pointee))
        unsafe place += 1
      }
      body(assignment)
      unsafe entry += 1
    }
  }
}
