/// How one kind of value is written on a command line: read, explained and shown.
public struct ArgumentType<Value: Sendable>: Sendable {
  /// What stands for the value in help: `PORT`, `SECONDS`.
  public let placeholder: String
  /// What is expected, as the end of "expected …": `a whole number from 1 to 65535`.
  public let expectation: String
  /// What help says about permitted values besides the default, or `nil`: `1 to 65535`.
  public let limits: String?
  /// How the value is written where texts are told from numbers.
  public private(set) var form: ValueForm
  /// What a shell can offer.
  public private(set) var hint: ValueHint
  /// The value a text stands for, or `nil` if it stands for none.
  public let read: @Sendable (String) -> Value?
  /// A value as `read` would take it.
  public let text: @Sendable (Value) -> String

  public init(
    placeholder: String, expectation: String, limits: String? = nil, form: ValueForm = .text,
    hint: ValueHint = .anything, read: @escaping @Sendable (String) -> Value?,
    text: @escaping @Sendable (Value) -> String
  ) {
    self.placeholder = placeholder
    self.expectation = expectation
    self.limits = limits
    self.form = form
    self.hint = hint
    self.read = read
    self.text = text
  }

  /// The same type, whose values a shell can offer from the first column of what this subcommand prints.
  public func listed(by subcommand: String) -> ArgumentType {
    var copy = self
    copy.hint = .listed(by: subcommand)
    return copy
  }
}

extension ArgumentType where Value == String {
  /// Any text that is not empty.
  public static let string = ArgumentType(
    placeholder: "TEXT", expectation: "a text that is not empty", read: { $0.isEmpty ? nil : $0 }, text: { $0 })

  /// One of a few words; upper and lower case count as equal, and the value is spelled as listed.
  public static func choice(_ words: [String]) -> ArgumentType {
    ArgumentType(
      placeholder: "WORD", expectation: "one of \(words.joined(separator: ", "))",
      limits: "one of \(words.joined(separator: ", "))", hint: .words(words),
      read: { text in words.first { $0.lowercased() == text.lowercased() } }, text: { $0 })
  }
}

extension ArgumentType where Value: CaseIterable & RawRepresentable, Value.RawValue == String {
  /// One of an enumeration's cases, written as its raw value; upper and lower case count as equal.
  public static var choice: ArgumentType {
    let words = Value.allCases.map(\.rawValue)
    let base = ArgumentType<String>.choice(words)
    return ArgumentType(
      placeholder: base.placeholder, expectation: base.expectation, limits: base.limits, hint: base.hint,
      read: { text in base.read(text).flatMap { Value(rawValue: $0) } }, text: \.rawValue)
  }
}

extension ArgumentType where Value == Int {
  public static func integer(_ range: ClosedRange<Int> = Int.min...Int.max) -> ArgumentType {
    let limits: String? =
      switch (range.lowerBound, range.upperBound) {
      case (.min, .max): nil
      case (let low, .max): "\(low) or more"
      case (.min, let high): "\(high) or less"
      case (let low, let high): "\(low) to \(high)"
      }
    return ArgumentType(
      placeholder: "N", expectation: limits.map { "a whole number, \($0)" } ?? "a whole number", limits: limits,
      form: .integer,
      read: { text in Int(text).flatMap { range.contains($0) ? $0 : nil } }, text: { "\($0)" })
  }
}

extension ArgumentType where Value == Double {
  public static func number(_ range: ClosedRange<Double>? = nil) -> ArgumentType {
    let limits = range.map { "\($0.lowerBound) to \($0.upperBound)" }
    return ArgumentType(
      placeholder: "X", expectation: limits.map { "a number, \($0)" } ?? "a number", limits: limits, form: .number,
      read: { text in
        guard let number = Double(text), number.isFinite else { return nil }
        return range.map { $0.contains(number) } ?? true ? number : nil
      }, text: { "\($0)" })
  }
}

extension ArgumentType where Value == Duration {
  /// A time in seconds, or with a unit: `5`, `0.5`, `500ms`, `2m`, `1h`.
  public static func duration(_ range: ClosedRange<Duration> = .zero ... .seconds(365 * 86400)) -> ArgumentType {
    let yearOrMore = range.upperBound >= .seconds(365 * 86400)
    let low = DurationText.text(range.lowerBound)
    let limits: String? =
      switch (range.lowerBound, yearOrMore) {
      case (.zero, true): nil
      case (_, true): "\(low) or more"
      default: "\(low) to \(DurationText.text(range.upperBound))"
      }
    return ArgumentType(
      placeholder: "SECONDS", expectation: "a time such as 5, 0.5, 500ms or 2m" + (limits.map { ", \($0)" } ?? ""),
      limits: limits, form: .duration,
      read: { text in DurationText.read(text).flatMap { range.contains($0) ? $0 : nil } },
      text: DurationText.text)
  }
}

/// `NAME=VALUE`, as in an environment.
public struct NamedText: Sendable, Equatable {
  public let name: String
  public let value: String
}

extension ArgumentType where Value == NamedText {
  /// A name, `=`, and a text that may be empty.
  public static let namedText = ArgumentType(
    placeholder: "NAME=VALUE", expectation: "NAME=VALUE", form: .pair,
    read: { text in
      guard let equals = text.firstIndex(of: "="), equals != text.startIndex else { return nil }
      return NamedText(name: String(text[..<equals]), value: String(text[text.index(after: equals)...]))
    }, text: { "\($0.name)=\($0.value)" })
}
