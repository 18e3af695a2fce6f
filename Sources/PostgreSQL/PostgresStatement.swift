/// SQL that a connection knows by name.
public struct PostgresStatement: Sendable {
  public let name: String
  public let sql: String

  public init(_ name: String, _ sql: String) {
    self.name = name
    self.sql = sql
  }

  /// The statement with values for `$1`, `$2` and so on.
  public func callAsFunction(_ parameters: SQLValue...) -> PostgresCall { PostgresCall(.prepared(name), parameters) }
  public func with(_ parameters: [SQLValue]) -> PostgresCall { PostgresCall(.prepared(name), parameters) }
}

/// One statement with its parameters.
public struct PostgresCall: Sendable {
  enum Target: Sendable {
    case prepared(String)
    case sql(String)
    /// Makes a name for the connection.
    case prepare(String, String)
  }

  let target: Target
  let parameters: [SQLValue]

  init(_ target: Target, _ parameters: [SQLValue]) {
    self.target = target
    self.parameters = parameters
  }

  public static func sql(_ sql: String, _ parameters: SQLValue...) -> PostgresCall {
    PostgresCall(.sql(sql), parameters)
  }
  public static func sql(_ sql: String, _ parameters: [SQLValue]) -> PostgresCall {
    PostgresCall(.sql(sql), parameters)
  }
  public static func prepare(_ statement: PostgresStatement) -> PostgresCall {
    PostgresCall(.prepare(statement.name, statement.sql), [])
  }
}
