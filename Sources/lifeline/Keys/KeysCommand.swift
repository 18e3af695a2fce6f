import ArgumentParsing
import Authentication
import Glibc
import Terminal

/// `lifeline keys`: what the coordinator's key file holds.
enum KeysCommand: Subcommand {
  private static let verb = Argument(
    "ACTION", ArgumentType<Action>.choice, "add, rotate (add another of the same name), list or remove.")
  private static let name = Argument("NAME", optional: .string, "Whose key it is: letters, digits, _ and -.")
  private static let file = Option(
    "keys", .string, default: "lifeline.keys", as: "FILE", "The file; only its owner may read it.")
  private static let roles = Option(
    "role", repeated: ArgumentType<Role>.choice, as: "ROLE",
    "With add: what its bearer may do; worker unless given, and several if given several times.")
  private static let fingerprint = Option(
    "fingerprint", optional: .string, as: "HEX", "With remove: only the one that list shows with this.")
  private static let older = Option(flag: "older", "With remove: all of this name but the newest.")

  enum Action: String, CaseIterable, Sendable { case add, rotate, list, remove }

  static let command = ArgumentParsing.Command(
    "keys", "makes and removes the keys that a coordinator accepts",
    details: [
      "The coordinator reads the file that it was started with (--keys) again on SIGHUP: who is connected with a key that is "
        + "still there notices nothing. A key is shown once, when it is made; the file holds only what recognises it."
    ],
    arguments: [verb, name], options: [file, roles, fingerprint, older, ClientOptions.json],
    examples: [
      Example("lifeline keys add rack7 --role worker > rack7.key", "A key for a worker; give it with --api-key-file."),
      Example("lifeline keys add ci --role submitter", "A key for whoever submits."),
      Example("lifeline keys rotate ci", "A second key of that name; the first stays good until it is removed."),
      Example("lifeline keys remove ci --older", "Only the newest stays good."),
    ])

  static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
    let path = invocation[file]
    do {
      var ring = KeyRing()
      if PrivateFile.exists(path) {
        let text = try PrivateFile.read(path)
        do { ring = try KeyRing(text: text) } catch { throw PrivateFile.Problem(description: "\(path), \(error)") }
      }
      switch invocation[verb] {
      case .list: list(ring, asJSON: invocation[ClientOptions.json])
      case .add: try add(try requiredName(invocation), Set(invocation[roles]), invocation, &ring, path)
      case .rotate:
        let name = try requiredName(invocation)
        guard let old = ring.records.last(where: { $0.name == name }) else {
          throw PrivateFile.Problem(description: "\(path) has no key named \(name); add one")
        }
        try add(name, old.roles, invocation, &ring, path)
      case .remove: return try remove(try requiredName(invocation), invocation, &ring, path)
      }
      return 0
    } catch let error as UsageError {
      throw error
    } catch {
      Console.standard.complain("lifeline keys: \(error)")
      return 1
    }
  }

  private static func requiredName(_ invocation: Invocation) throws(UsageError) -> String {
    guard let text = invocation[name] else { throw invocation.error("say whose key: lifeline keys add NAME") }
    guard APIKey.isName(text) else {
      throw invocation.error("\(text) is no name for a key: 1 to 64 letters, digits, _ or -")
    }
    return text
  }

  private static func add(
    _ name: String, _ roles: Set<Role>, _ invocation: Invocation, _ ring: inout KeyRing, _ path: String
  ) throws {
    if invocation[verb] == .add, ring.records.contains(where: { $0.name == name }) {
      throw PrivateFile.Problem(
        description: "\(path) has a key named \(name) already; rotate it, or choose another name")
    }
    let key = APIKey.generate(name: name)
    try ring.add(
      KeyRecord(key, roles: roles.isEmpty ? [.worker] : roles))
    try PrivateFile.write(ring.text, to: path)
    // The one time that it is seen.
    Console.standard.write("\(key.text)\n")
  }

  private static func remove(
    _ name: String, _ invocation: Invocation, _ ring: inout KeyRing, _ path: String
  ) throws -> Int32 {
    let count =
      invocation[older] ? ring.removeOlder(name: name) : ring.remove(name: name, fingerprint: invocation[fingerprint])
    guard count > 0 else {
      Console.standard.complain(
        "lifeline keys: \(path) has no such key of \(name); lifeline keys list shows those it has")
      return 1
    }
    try PrivateFile.write(ring.text, to: path)
    return 0
  }

  private static func list(_ ring: KeyRing, asJSON: Bool) {
    guard !asJSON else {
      let keys = ring.records.map { record in
        let roles = record.roles.map { "\"\($0.rawValue)\"" }.sorted().joined(separator: ",")
        return "{\"name\":\"\(record.name)\",\"roles\":[\(roles)],\"fingerprint\":\"\(record.fingerprint)\"}"
      }
      return Console.standard.write("[\(keys.joined(separator: ","))]\n")
    }
    for record in ring.records {
      let roles = record.roles.map(\.rawValue).sorted().joined(separator: ",")
      Console.standard.write("\(record.name)  \(roles)  \(record.fingerprint)\n")
    }
  }
}
