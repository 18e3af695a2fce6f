import CLibEv

/// The environment of this process, whose names need not be text.
package enum OwnEnvironment {
  /// The names of all variables, without duplicates of the environment itself taken out. Nobody may change it meanwhile.
  package static func names() -> [[UInt8]] {
    var names: [[UInt8]] = []
    // SAFETY: the list ends with nil and each of its strings with a zero; nobody changes either while it is read.
    guard var next = unsafe lifeline_environment() else { return [] }
    while let variable = unsafe next.pointee {
      var name: [UInt8] = []
      var place = unsafe variable
      while unsafe place.pointee != 0, unsafe place.pointee != CChar(bitPattern: UInt8(ascii: "=")) {
        unsafe name.append(UInt8(bitPattern: place.pointee))
        unsafe place += 1
      }
      names.append(name)
      unsafe next += 1
    }
    return names
  }
}
