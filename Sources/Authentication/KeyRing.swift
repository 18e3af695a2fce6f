import Cryptography
import Primitives

/// The keys that a coordinator accepts. Several may have one name: while a key is being replaced, both are good.
///
/// As text, one key on each line, and comments after `#`:
///
///     NAME ROLE[,ROLE…] scram-sha-256$SALT$STORED-KEY
public struct KeyRing: Equatable, Sendable {
  public private(set) var records: [KeyRecord]
  /// Where each name's records are: a file is read on the coordinator's loop, and must not be searched for each line.
  private var placesOfName: [String: [Int]] = [:]

  /// Keys that one name may have at a time.
  public static let maxRecordsPerName = 4
  public static let maxRecords = 10_000

  public enum Problem: Error, Equatable, CustomStringConvertible {
    case line(Int, String)
    case tooMany(String)

    public var description: String {
      switch self {
      case .line(let number, let problem): "line \(number): \(problem)"
      case .tooMany(let problem): problem
      }
    }
  }

  public init(_ records: [KeyRecord] = []) {
    self.records = records
    findPlaces()
  }

  private mutating func findPlaces() {
    placesOfName = Dictionary(grouping: records.indices) { records[$0].name }
  }

  public var isEmpty: Bool { records.isEmpty }

  func records(named name: String) -> [KeyRecord] { (placesOfName[name] ?? []).map { records[$0] } }

  public mutating func add(_ record: KeyRecord) throws(Problem) {
    guard records.count < Self.maxRecords else { throw .tooMany("there are \(Self.maxRecords) keys already") }
    guard records(named: record.name).count < Self.maxRecordsPerName else {
      throw .tooMany("\(record.name) has \(Self.maxRecordsPerName) keys already; remove one first")
    }
    placesOfName[record.name, default: []].append(records.count)
    records.append(record)
  }

  /// - Parameter fingerprint: of the one to remove; `nil` removes all of this name.
  /// - Returns: how many were removed.
  public mutating func remove(name: String, fingerprint: String? = nil) -> Int {
    let before = records.count
    records.removeAll { $0.name == name && (fingerprint == nil || $0.fingerprint == fingerprint) }
    findPlaces()
    return before - records.count
  }

  /// Removes all keys of a name but the newest.
  public mutating func removeOlder(name: String) -> Int {
    guard let newest = records.last(where: { $0.name == name }) else { return 0 }
    let before = records.count
    records.removeAll { $0.name == name && $0 != newest }
    findPlaces()
    return before - records.count
  }

  // MARK: Text

  private static let method = "scram-sha-256"

  public var text: String {
    var text =
      "# Lifeline's keys: NAME ROLES METHOD$SALT$STORED-KEY. Changed by `lifeline keys`; secret all the same.\n"
    for record in records {
      let roles = record.roles.map(\.rawValue).sorted().joined(separator: ",")
      text += "\(record.name) \(roles) \(Self.method)$\(Base64.encodeURL(record.salt))$"
      text += Base64.encodeURL(record.storedKey.bytes)
      text += "\n"
    }
    return text
  }

  public init(text: String) throws(Problem) {
    records = []
    for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init)
      guard !words.isEmpty else { continue }
      do throws(LineProblem) {
        let record = try Self.record(words)
        guard !records(named: record.name).contains(record) else {
          throw LineProblem(text: "this key is there already")
        }
        do { try add(record) } catch { throw LineProblem(text: "\(error)") }
      } catch { throw .line(index + 1, error.text) }
    }
  }

  private struct LineProblem: Error { let text: String }

  private static func record(_ words: [String]) throws(LineProblem) -> KeyRecord {
    guard words.count == 3 else {
      throw LineProblem(text: "expected NAME ROLES \(method)$SALT$STORED-KEY, found \(words.count) words")
    }
    guard APIKey.isName(words[0]) else {
      throw LineProblem(text: "a name has 1 to 64 letters, digits, _ or -")
    }
    var roles: Set<Role> = []
    for word in words[1].split(separator: ",") {
      guard let role = Role(rawValue: String(word)) else {
        throw LineProblem(
          text: "\(word) is no role; there are \(Role.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      roles.insert(role)
    }
    let parts = words[2].split(separator: "$", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 3, parts[0] == method, let salt = Base64.decodeURL(parts[1]), salt.count == APIKey.saltBytes,
      let stored = Base64.decodeURL(parts[2]).flatMap({ SHA256Digest($0) })
    else { throw LineProblem(text: "the third word is not \(method)$SALT$STORED-KEY") }
    return KeyRecord(name: words[0], roles: roles, salt: salt, storedKey: stored)
  }
}
