import CLibEv

/// The variables that this process was started with; nothing in these programs changes them.
package enum ProcessEnvironment {
  /// Those whose names `isWanted` accepts.
  package static func variables(where isWanted: (String) -> Bool = { _ in true }) -> [String: String] {
    var variables: [String: String] = [:]
    // SAFETY: the list ends with a null pointer, its strings with a null byte, and nobody changes them meanwhile.
    guard var entry = unsafe lifeline_environment() else { return variables }
    while let text = unsafe entry.pointee {
      let assignment = unsafe String(cString: text)
      unsafe entry += 1
      guard let sign = assignment.firstIndex(of: "=") else { continue }
      let name = String(assignment[..<sign])
      if isWanted(name) { variables[name] = String(assignment[assignment.index(after: sign)...]) }
    }
    return variables
  }
}
