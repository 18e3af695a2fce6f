extension String {
  /// As many whole characters (Unicode scalars) from the start as fit into `maxBytes` of UTF-8.
  package func prefix(maxBytes: Int) -> String {
    guard utf8.count > maxBytes else { return self }
    var end = utf8.index(utf8.startIndex, offsetBy: max(0, maxBytes))
    while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
    return String(unicodeScalars[..<end])
  }
}
