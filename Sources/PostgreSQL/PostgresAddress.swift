import CPostgreSQL

/// Where a database is and who asks: whatever libpq takes, a URL or a list of settings.
public struct PostgresAddress: Sendable {
  /// In libpq's words, as they were given.
  package private(set) var settings: [(name: String, value: String)]

  /// Fails with what is wrong with the text, without the text: there may be a password in it.
  public init(_ text: String) throws(PostgresError) {
    var problem: UnsafeMutablePointer<CChar>?
    // SAFETY: the text is passed as a C string for the call; both results are freed below, once.
    guard let options = unsafe PQconninfoParse(text, &problem) else {
      unsafe PQfreemem(problem)
      throw PostgresError(
        .refused, "this is no address of a database as libpq reads it: postgres://USER@HOST:PORT/NAME")
    }
    defer { unsafe PQconninfoFree(options) }
    settings = []
    var option = unsafe options
    // SAFETY: the list ends with an option that has no keyword.
    while let keyword = unsafe option.pointee.keyword {
      if let value = unsafe option.pointee.val {
        unsafe settings.append((String(cString: keyword), String(cString: value)))
      }
      unsafe option = option.advanced(by: 1)
    }
  }

  package subscript(name: String) -> String? {
    get { settings.last { $0.name == name }?.value }
    set {
      settings.removeAll { $0.name == name }
      if let newValue { settings.append((name, newValue)) }
    }
  }

  /// Without its password, for logs and errors.
  public var shown: String {
    var text = "postgres://"
    if let user = self["user"] { text += "\(user)@" }
    let hosts = (self["host"] ?? self["hostaddr"] ?? "").split(separator: ",", omittingEmptySubsequences: false)
    let ports = (self["port"] ?? "").split(separator: ",", omittingEmptySubsequences: false)
    let folder = hosts.count == 1 && hosts[0].hasPrefix("/") ? hosts[0] : nil
    if folder == nil {
      text += hosts.enumerated().map { index, host in
        let port = ports.count == 1 ? ports[0] : index < ports.count ? ports[index] : ""
        return port.isEmpty ? String(host) : "\(host):\(port)"
      }.joined(separator: ",")
    }
    text += "/\(self["dbname"] ?? "")"
    if let folder { text += "?host=\(folder)" }
    return text
  }

  /// The hosts whose addresses have to be asked for, by place; empty when libpq needs to ask nobody.
  package var hosts: [String] {
    guard self["hostaddr"] == nil, let host = self["host"] else { return [] }
    return host.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }

  /// One address for each server that it names, in its order.
  package var places: [PostgresAddress] {
    func list(_ name: String) -> [String] {
      self[name].map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) } ?? []
    }
    let (names, numbers, gates) = (list("host"), list("hostaddr"), list("port"))
    let count = max(names.count, numbers.count)
    // Lists that do not fit each other are libpq's to refuse.
    guard count > 1, [0, count].contains(names.count), [0, count].contains(numbers.count),
      [0, 1, count].contains(gates.count)
    else { return [self] }
    return (0..<count).map { index in
      var place = self
      if !names.isEmpty { place["host"] = names[index] }
      if !numbers.isEmpty { place["hostaddr"] = numbers[index].isEmpty ? nil : numbers[index] }
      if gates.count == count { place["port"] = gates[index].isEmpty ? nil : gates[index] }
      return place
    }
  }

  /// The same with the addresses of its hosts, so that libpq asks no name server and blocks nobody. The names stay, for
  /// certificates are made out to them.
  package func resolved(_ addresses: [[String]]) -> PostgresAddress {
    let ports = (self["port"] ?? "").split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    var (names, numbers, gates): ([String], [String], [String]) = ([], [], [])
    for (index, host) in hosts.enumerated() where index < addresses.count {
      for address in addresses[index] {
        names.append(host)
        numbers.append(address)
        gates.append(ports.count == 1 ? ports[0] : index < ports.count ? ports[index] : "")
      }
    }
    var copy = self
    copy["host"] = names.joined(separator: ",")
    copy["hostaddr"] = numbers.joined(separator: ",")
    if gates.contains(where: { !$0.isEmpty }) { copy["port"] = gates.joined(separator: ",") }
    return copy
  }
}
