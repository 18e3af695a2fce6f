public import CoordinationCore
import Primitives

/// A record as one line of a history file: `{"t":81234,"event":"committed","batch":7}`, `t` in nanoseconds; with `"member":3`
/// where it is said in the line itself whose doing it is.
extension HistoryRecord {
  public var json: JSONObject {
    var object: JSONObject = ["t": .integer(time.nanoseconds)]
    if let member { object["member"] = .integer(member.number) }
    for member in event.json.members { object[member.key] = member.value }
    return object
  }

  /// - Throws: `MessageError` that names the member that is missing or wrong.
  public init(json object: JSONObject) throws(MessageError) {
    let reader = HistoryReader(object)
    self.init(
      try HistoryEvent(reader), at: Instant(nanoseconds: try reader.integer64("t")),
      by: try reader.number("member").map { MemberID(Int64($0)) })
  }

  /// The line without its end.
  public var line: String { JSONValue.object(json).text }
}

/// The records of a history file, in the order of its lines.
public struct HistoryText: Equatable, Sendable {
  public var records: [HistoryRecord] = []
  /// The end of a line that its writer did not live to finish.
  public var isCutShort = false

  /// Why a history cannot be trusted.
  public struct Malformed: Error, Equatable, CustomStringConvertible {
    /// From 1.
    public let line: Int
    public let problem: String
    public var description: String { "line \(line): \(problem)" }
  }

  /// - Throws: `Malformed` for anything but whole records; only the very end, after the last line end, may be cut.
  public init(_ bytes: [UInt8]) throws(Malformed) {
    var number = 0
    var member: MemberID?
    var rest = bytes[...]
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      number += 1
      let line = Array(rest[..<end])
      rest = rest[(end + 1)...]
      let value: JSONValue
      do { value = try JSONParser.parse(line) } catch { throw Malformed(line: number, problem: "\(error)") }
      guard let object = value.object else { throw Malformed(line: number, problem: "not an object") }
      do {
        var record = try HistoryRecord(json: object)
        switch record.event {
        case .joined(let joined): member = joined
        case .coordinatorStarted: member = nil
        default: break
        }
        if record.member == nil { record.member = member }
        records.append(record)
      } catch {
        throw Malformed(line: number, problem: "\(error)")
      }
    }
    isCutShort = !rest.isEmpty
  }

  /// All records of several histories by time; those of one history keep their order.
  public static func merged(_ histories: [[HistoryRecord]]) -> [HistoryRecord] {
    // `sort` is stable, so equal times keep the order of the files and of their lines.
    histories.flatMap { $0 }.sorted { $0.time < $1.time }
  }
}
