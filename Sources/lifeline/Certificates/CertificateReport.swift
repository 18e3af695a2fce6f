import CoordinationCore
import Primitives

/// What `lifeline certs` did, and what can be done with it.
struct CertificateReport {
  private struct Entry {
    let path: String
    let isNew: Bool
    let remark: String
  }

  let directory: String
  /// Whom the server's certificate is for; empty when the one that was there stays.
  let names: [String]
  let clients: [String]
  let notAfter: WallTime
  private var entries: [Entry] = []

  init(directory: String, names: [String], clients: [String], notAfter: WallTime) {
    self.directory = directory
    self.names = names
    self.clients = clients
    self.notAfter = notAfter
  }

  mutating func add(_ paths: Paths, isNew: Bool) {
    let remark: String =
      if paths.certificate.hasSuffix("/ca.pem") {
        "the authority; whoever connects needs it"
      } else if paths.certificate.hasSuffix("/server.pem") {
        names.isEmpty ? "" : "for \(names.joined(separator: ", "))"
      } else {
        "for a client"
      }
    entries.append(Entry(path: paths.certificate, isNew: isNew, remark: remark))
    entries.append(Entry(path: paths.key, isNew: isNew, remark: "its key; a secret"))
  }

  var text: String {
    let width = entries.map(\.path.count).max() ?? 0
    var text = ""
    for entry in entries {
      let padding = String(repeating: " ", count: width - entry.path.count)
      let remark = entry.remark.isEmpty ? "" : "\(padding)  \(entry.remark)"
      text += "\(entry.isNew ? "made" : "kept")  \(entry.path.escapedForDisplay)\(remark)\n"
    }
    text += "New certificates are valid until \(notAfter.iso8601.prefix(10)).\n\nNext:\n"
    let host = names.first ?? "localhost"
    let shown = host.contains(":") ? "[\(host)]" : host
    // Beyond this machine a coordinator wants keys as well.
    let isLocal = host == "localhost"
    let listen = isLocal ? "" : " --host 0.0.0.0 --keys lifeline.keys"
    let key = isLocal ? "" : " --api-key-file worker.key"
    if !isLocal { text += "  (umask 077; lifeline keys add worker > worker.key)\n" }
    let asks = clients.isEmpty ? "" : " --tls-client-ca \(directory)/ca.pem"
    let shows =
      clients.first.map {
        " --tls-certificate \(directory)/client-\($0).pem --tls-key \(directory)/client-\($0)-key.pem"
      } ?? ""
    text +=
      "  lifeline coordinator\(listen) --tls-certificate \(directory)/server.pem --tls-key \(directory)/server-key.pem\(asks)\n"
    text += "  lifeline worker --coordinator wss://\(shown):8765\(key) --tls-ca \(directory)/ca.pem\(shows)\n"
    return text
  }

  var json: String {
    let files = entries.map { entry -> JSONValue in
      let object: JSONObject = ["path": .string(entry.path), "made": .bool(entry.isNew)]
      return .object(object)
    }
    let object: JSONObject = [
      "directory": .string(directory), "files": .array(files), "names": .array(names.map { .string($0) }),
      "not_after": .string(notAfter.iso8601),
    ]
    return JSONValue.object(object).text
  }
}
