/// A positional argument without its value's type.
public struct ArgumentDefinition: Sendable {
  public let name: String
  public let purpose: String
  public let limits: String?
  public let isRequired: Bool
  /// Whether it takes all remaining arguments; only the last may.
  public let isRepeatable: Bool
  public let hint: ValueHint
  let check: @Sendable ([String]) throws(ValueProblem) -> Void

  /// How the usage line shows it: `ID`, `[ID]`, `ID…`, `[ID…]`.
  public var usage: String {
    let name = isRepeatable ? "\(name)…" : name
    return isRequired ? name : "[\(name)]"
  }
}

/// Something that can stand in a command's list of positional arguments.
public protocol DeclaredArgument: Sendable {
  var definition: ArgumentDefinition { get }
}

/// One positional argument; like an option, it is the key to its value after parsing.
public struct Argument<Value: Sendable>: DeclaredArgument {
  public let definition: ArgumentDefinition
  let read: @Sendable ([String]) throws(ValueProblem) -> Value

  /// An argument that must be given.
  public init(_ name: String, _ type: ArgumentType<Value>, _ purpose: String) {
    self.init(name, purpose, type, isRequired: true, isRepeatable: false) { texts throws(ValueProblem) in
      guard let text = texts.first else { throw .missing }
      return try type.value(text)
    }
  }

  /// An argument that may be left out.
  public init<Wrapped>(_ name: String, optional type: ArgumentType<Wrapped>, _ purpose: String)
  where Value == Wrapped? {
    self.init(name, purpose, type, isRequired: false, isRepeatable: false) { texts throws(ValueProblem) in
      guard let text = texts.first else { return nil }
      return try type.value(text)
    }
  }

  /// All remaining arguments, at least one if `required`.
  public init<Element>(
    _ name: String, repeated type: ArgumentType<Element>, required: Bool = false, _ purpose: String
  ) where Value == [Element] {
    self.init(name, purpose, type, isRequired: required, isRepeatable: true) { texts throws(ValueProblem) in
      if required && texts.isEmpty { throw .missing }
      var values: [Element] = []
      for text in texts { values.append(try type.value(text)) }
      return values
    }
  }

  private init<One>(
    _ name: String, _ purpose: String, _ type: ArgumentType<One>, isRequired: Bool, isRepeatable: Bool,
    read: @escaping @Sendable ([String]) throws(ValueProblem) -> Value
  ) {
    definition = ArgumentDefinition(
      name: name, purpose: purpose, limits: type.limits, isRequired: isRequired, isRepeatable: isRepeatable,
      hint: type.hint.completed(by: name), check: { texts throws(ValueProblem) in _ = try read(texts) })
    self.read = read
  }
}
