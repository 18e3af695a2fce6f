/// Why the texts given for an option or argument make no value.
public enum ValueProblem: Error, Equatable {
  case missing
  case invalid(text: String, expectation: String)
}

/// An option without its value's type: what the parser and the help page need to know.
public struct OptionDefinition: Sendable {
  /// The name without the two dashes.
  public let name: String
  /// What stands for the value in help; `nil` for a flag, which has none.
  public let placeholder: String?
  public let purpose: String
  /// The default as help shows it; `nil` if there is none to show.
  public let defaultText: String?
  public let limits: String?
  /// The environment variable that counts where the option is not given.
  public let environment: String?
  public let isRequired: Bool
  /// Whether every occurrence counts; otherwise the last one does, so that a script's options can be overridden.
  public let isRepeatable: Bool
  /// Whether `--no-NAME` exists.
  public let isNegatable: Bool
  /// The default as the option would read it; `nil` if it has none of that kind.
  public let defaultValue: String?
  public let form: ValueForm
  public let hint: ValueHint
  /// Whether the value must not be shown.
  public fileprivate(set) var isSecret = false
  /// What several commands share it as; `nil` for an option that is one command's own.
  public fileprivate(set) var sharedAs: String?
  package let check: @Sendable ([String]) throws(ValueProblem) -> Void

  public var isFlag: Bool { placeholder == nil }
}

/// Something that can stand in a command's list of options.
public protocol DeclaredOption: Sendable {
  var definition: OptionDefinition { get }
}

/// One long option, declared once: it describes itself in help, and is the key to its value after parsing.
///
///     let port = Option("port", .integer(1...65535), default: 8765, as: "PORT", "Where to listen.")
///     …
///     listen(invocation[port])
public struct Option<Value: Sendable>: DeclaredOption {
  public private(set) var definition: OptionDefinition
  let read: @Sendable ([String]) throws(ValueProblem) -> Value

  /// The same option, with a value that nobody is shown.
  public func secret() -> Option {
    var copy = self
    copy.definition.isSecret = true
    return copy
  }

  /// The same option, which can be set for all commands that declare it under this common name: `client`.
  public func shared(as name: String) -> Option {
    var copy = self
    copy.definition.sharedAs = name
    return copy
  }

  /// An option that has a default.
  public init(
    _ name: String, _ type: ArgumentType<Value>, default value: Value, as placeholder: String? = nil,
    environment: String? = nil, _ purpose: String
  ) {
    self.init(
      name, type, placeholder, purpose, environment: environment, defaultText: type.text(value),
      defaultValue: type.text(value)
    ) { texts throws(ValueProblem) in
      guard let text = texts.last else { return value }
      return try type.value(text)
    }
  }

  /// An option that must be given, or set in the environment.
  public init(
    required name: String, _ type: ArgumentType<Value>, as placeholder: String? = nil, environment: String? = nil,
    _ purpose: String
  ) {
    self.init(
      name, type, placeholder, purpose, environment: environment, isRequired: true
    ) { texts throws(ValueProblem) in
      guard let text = texts.last else { throw .missing }
      return try type.value(text)
    }
  }

  /// An option that may be left out; then its value is `nil`. `whenMissing` says in help what happens then.
  public init<Wrapped>(
    _ name: String, optional type: ArgumentType<Wrapped>, as placeholder: String? = nil, whenMissing: String? = nil,
    environment: String? = nil, _ purpose: String
  ) where Value == Wrapped? {
    self.init(
      name, type, placeholder, purpose, environment: environment, defaultText: whenMissing
    ) { texts throws(ValueProblem) in
      guard let text = texts.last else { return nil }
      return try type.value(text)
    }
  }

  /// An option that may be given several times; its value is the list of all, in order.
  public init<Element>(
    _ name: String, repeated type: ArgumentType<Element>, as placeholder: String? = nil, _ purpose: String
  ) where Value == [Element] {
    self.init(
      name, type, placeholder, purpose, environment: nil, isRepeatable: true
    ) { texts throws(ValueProblem) in
      var values: [Element] = []
      for text in texts { values.append(try type.value(text)) }
      return values
    }
  }

  /// An option that may be given several times, and has a value of its own when it is not given at all.
  public init<Element>(
    _ name: String, repeated type: ArgumentType<Element>, default values: [Element], as placeholder: String? = nil,
    environment: String? = nil, _ purpose: String
  ) where Value == [Element] {
    let shown = values.map(type.text).joined(separator: ", ")
    self.init(
      name, type, placeholder, purpose, environment: environment, defaultText: shown, defaultValue: shown,
      isRepeatable: true
    ) { texts throws(ValueProblem) in
      guard !texts.isEmpty else { return values }
      var given: [Element] = []
      for text in texts { given.append(try type.value(text)) }
      return given
    }
  }

  private init<One>(
    _ name: String, _ type: ArgumentType<One>, _ placeholder: String?, _ purpose: String, environment: String?,
    defaultText: String? = nil, defaultValue: String? = nil, isRequired: Bool = false, isRepeatable: Bool = false,
    read: @escaping @Sendable ([String]) throws(ValueProblem) -> Value
  ) {
    let placeholder = placeholder ?? type.placeholder
    definition = OptionDefinition(
      name: name, placeholder: placeholder, purpose: purpose, defaultText: defaultText, limits: type.limits,
      environment: environment, isRequired: isRequired, isRepeatable: isRepeatable, isNegatable: false,
      defaultValue: defaultValue, form: type.form, hint: type.hint.completed(by: placeholder),
      check: { texts throws(ValueProblem) in _ = try read(texts) })
    self.read = read
  }
}

extension Option where Value == Bool {
  /// A flag: `--NAME` makes it true, and `--no-NAME` false if it is negatable or true by default.
  public init(
    flag name: String, default value: Bool = false, negatable: Bool = false, environment: String? = nil,
    _ purpose: String
  ) {
    let read: @Sendable ([String]) throws(ValueProblem) -> Bool = { texts throws(ValueProblem) in
      guard let text = texts.last else { return value }
      switch text.lowercased() {
      case "true", "1", "yes", "on": return true
      case "false", "0", "no", "off": return false
      default: throw .invalid(text: text, expectation: "true or false")
      }
    }
    definition = OptionDefinition(
      name: name, placeholder: nil, purpose: purpose, defaultText: value ? "on" : nil, limits: nil,
      environment: environment, isRequired: false, isRepeatable: false, isNegatable: negatable || value,
      defaultValue: "\(value)", form: .boolean, hint: .words(["true", "false"]),
      check: { texts throws(ValueProblem) in _ = try read(texts) })
    self.read = read
  }
}

extension ArgumentType {
  func value(_ text: String) throws(ValueProblem) -> Value {
    guard let value = read(text) else { throw .invalid(text: text, expectation: expectation) }
    return value
  }
}
