import ArgumentParsing
import Primitives

/// One thing to do to a proxy, as it is written in a schedule or typed at run time.
///
///     up latency=100ms jitter=20ms     settings of one direction, or of both without one
///     down hold                        one of flow, hold, drop, clear
///     cut · cut up after=1000          reset every connection, now or in the middle of something
///     blackhole on · refuse on · stall on · half-open far · heal · show
public enum FaultCommand: Equatable, Sendable {
  /// Values that are given; the others stay.
  case set([FaultDirection], [FaultSetting])
  case clear([FaultDirection])
  case cut
  case cutAfter(Int, FaultDirection)
  case blackHole(Bool)
  case refuse(Bool)
  /// New connections are made and not taken up.
  case stall(Bool)
  case halfOpen(gone: FaultProxy.End)
  case heal
  case show

  /// What is wrong with a text, and what would be right.
  public struct Problem: Error, Equatable, CustomStringConvertible {
    public let description: String
  }

  private static let verbs = ["up", "down", "both", "cut", "blackhole", "refuse", "stall", "half-open", "heal", "show"]

  public init(_ text: String) throws(Problem) {
    var words = text.split { $0 == " " || $0 == "," || $0 == "\t" }.map(String.init)[...]
    guard let first = words.first else { throw Problem(description: "an empty command; one of \(Self.listed)") }
    var directions = FaultDirection.allCases
    switch first {
    case "up", "down", "both":
      words = words.dropFirst()
      if let one = FaultDirection(rawValue: first) { directions = [one] }
      self = try Self.settings(words, directions)
    case "cut": self = try Self.cut(words.dropFirst())
    case "blackhole": self = .blackHole(try Self.flag(words))
    case "refuse": self = .refuse(try Self.flag(words))
    case "stall": self = .stall(try Self.flag(words))
    case "half-open":
      guard words.count == 2, let end = words.last.flatMap(FaultProxy.End.init) else {
        throw Problem(description: "half-open: which end is gone? half-open near, or half-open far")
      }
      self = .halfOpen(gone: end)
    case "heal", "show":
      guard words.count == 1 else { throw Problem(description: "\(first) takes nothing more") }
      self = first == "heal" ? .heal : .show
    default: self = try Self.settings(words, directions)
    }
  }

  /// What a whole direction may be told; `clear` beside them ends every fault of it.
  private static let states: [String: Faults.Delivery] = ["flow": .flowing, "hold": .held, "drop": .dropped]

  private static var listed: String { verbs.joined(separator: ", ") + ", or a setting such as latency=100ms" }

  private static func flag(_ words: ArraySlice<String>) throws(Problem) -> Bool {
    guard words.count == 2, let word = words.last, word == "on" || word == "off" else {
      throw Problem(description: "\(words.first ?? ""): on or off?")
    }
    return word == "on"
  }

  private static func cut(_ words: ArraySlice<String>) throws(Problem) -> FaultCommand {
    guard let first = words.first else { return .cut }
    guard words.count == 2, let direction = FaultDirection(rawValue: first), let last = words.last,
      last.hasPrefix("after="), let count = FaultSetting.bytes(String(last.dropFirst(6)))
    else {
      throw Problem(description: "cut \(words.joined(separator: " ")): either cut, or cut up after=BYTES (or down)")
    }
    return .cutAfter(count, direction)
  }

  private static func settings(
    _ words: ArraySlice<String>, _ directions: [FaultDirection]
  ) throws(Problem) -> FaultCommand {
    guard let first = words.first else {
      throw Problem(description: "which setting? one of \(FaultSetting.names.joined(separator: ", "))")
    }
    let state = states[first]
    if state != nil || first == "clear" {
      guard words.count == 1 else {
        throw Problem(description: "\(first) takes nothing more: up \(first), or \(first)")
      }
      return state.map { .set(directions, [.delivery($0)]) } ?? .clear(directions)
    }
    var settings: [FaultSetting] = []
    for word in words { settings.append(try FaultSetting(word, verbs: verbs + ["clear"] + states.keys.sorted())) }
    return .set(directions, settings)
  }
}

/// One value of a direction's `Faults`.
public enum FaultSetting: Equatable, Sendable {
  case latency(Duration), jitter(Duration), bandwidth(Int?), slice(Int?), pause(Duration), corrupt(Int?)
  case limit(Int?), ending(Faults.Ending), delivery(Faults.Delivery), closeDelay(Duration)

  static let names = [
    "latency", "jitter", "bandwidth", "slice", "pause", "corrupt", "limit", "ending", "delivery", "close-delay",
  ]

  /// `NAME=VALUE`; the word `off` is every value's default.
  init(_ word: String, verbs: [String]) throws(FaultCommand.Problem) {
    guard let equals = word.firstIndex(of: "=") else {
      let nearest =
        NearestWord.find(word, in: Self.names.map { $0 + "=" } + verbs).map { "; did you mean \($0)?" } ?? ""
      throw FaultCommand.Problem(description: "\(word) is no command and no setting\(nearest)")
    }
    let (name, value) = (String(word[..<equals]), String(word[word.index(after: equals)...]))
    switch name {
    case "latency": self = .latency(try Self.duration(name, value))
    case "jitter": self = .jitter(try Self.duration(name, value))
    case "pause": self = .pause(try Self.duration(name, value))
    case "close-delay": self = .closeDelay(try Self.duration(name, value))
    case "bandwidth": self = .bandwidth(try Self.count(name, value, "bytes a second, such as 64KiB"))
    case "slice": self = .slice(try Self.count(name, value, "bytes"))
    case "corrupt": self = .corrupt(try Self.count(name, value, "one byte in so many"))
    case "limit": self = .limit(try Self.count(name, value, "bytes"))
    case "ending": self = .ending(try Self.choice(name, value == "off" ? "close" : value))
    case "delivery": self = .delivery(try Self.choice(name, value == "off" ? "flowing" : value))
    default:
      let nearest = NearestWord.find(name, in: Self.names).map { "; did you mean \($0)?" } ?? ""
      throw FaultCommand.Problem(description: "there is no setting \(name)\(nearest)")
    }
  }

  private static func duration(_ name: String, _ text: String) throws(FaultCommand.Problem) -> Duration {
    let type = ArgumentType<Duration>.duration(.zero ... .seconds(3_600))
    guard let value = text == "off" ? .zero : type.read(text) else {
      throw FaultCommand.Problem(description: "\(name)=\(text): expected \(type.expectation), or off")
    }
    return value
  }

  private static func count(
    _ name: String, _ text: String, _ unit: String
  ) throws(FaultCommand.Problem) -> Int? {
    if text == "off" { return nil }
    guard let value = bytes(text), value > 0 else {
      throw FaultCommand.Problem(description: "\(name)=\(text): expected a whole number above 0 (\(unit)), or off")
    }
    return value
  }

  /// A number of bytes, with KiB or MiB or without.
  static func bytes(_ text: String) -> Int? {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20)]
    let unit = units.first { text.hasSuffix($0.0) }
    guard let number = Int(unit == nil ? text : String(text.dropLast(3))), number >= 0 else { return nil }
    let (value, overflow) = number.multipliedReportingOverflow(by: unit?.1 ?? 1)
    return overflow ? nil : value
  }

  private static func choice<Choice: CaseIterable & RawRepresentable>(
    _ name: String, _ text: String
  ) throws(FaultCommand.Problem) -> Choice where Choice.RawValue == String {
    guard let value = Choice(rawValue: text) else {
      let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw FaultCommand.Problem(description: "\(name)=\(text): expected one of \(words)")
    }
    return value
  }

  func apply(to faults: inout Faults) {
    switch self {
    case .latency(let value): faults.latency = value
    case .jitter(let value): faults.jitter = value
    case .bandwidth(let value): faults.bytesPerSecond = value
    case .slice(let value): faults.sliceBytes = value
    case .pause(let value): faults.slicePause = value
    case .corrupt(let value): faults.corruptsOneIn = value
    case .limit(let value): faults.byteLimit = value
    case .ending(let value): faults.ending = value
    case .delivery(let value): faults.delivery = value
    case .closeDelay(let value): faults.closeDelay = value
    }
  }
}

extension FaultProxy {
  /// Does what a command says; `show` changes nothing.
  public func perform(_ command: FaultCommand) {
    switch command {
    case .set(let directions, let settings):
      var table = faults
      for direction in directions { for setting in settings { setting.apply(to: &table[direction]) } }
      faults = table
    case .clear(let directions):
      var table = faults
      for direction in directions { table[direction] = Faults() }
      faults = table
    case .cut: cut()
    case .cutAfter(let count, let direction): cut(after: count, direction)
    case .blackHole(let isOn): setBlackHole(isOn)
    case .refuse(let isOn): isRefusing = isOn
    case .stall(let isOn): isStalling = isOn
    case .halfOpen(let gone): leaveHalfOpen(gone: gone)
    case .heal: heal()
    case .show: break
    }
  }
}
