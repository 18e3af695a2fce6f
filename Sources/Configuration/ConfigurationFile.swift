public import ArgumentParsing
internal import TOML

/// A configuration file, judged against the options that a program's commands declare.
///
/// There is a table for each command and one for each group of options that commands share; a key is an option's name.
/// Nothing here knows an option by name: one that is declared tomorrow can stand in the file.
public struct ConfigurationFile: Sendable {
  public static let maxBytes = TOMLParser.maxBytes

  /// A file as it was found.
  public struct Source: Sendable {
    let path: String
    let bytes: [UInt8]
    let isPrivate: Bool
    let home: String?

    /// - Parameters:
    ///   - isPrivate: nobody but its owner may read it, so that a key may stand in it.
    ///   - home: the user's folder, for file names that begin with `~/`.
    public init(path: String, bytes: [UInt8], isPrivate: Bool, home: String?) {
      self.path = path
      self.bytes = bytes
      self.isPrivate = isPrivate
      self.home = home
    }
  }

  public let path: String
  /// By table, then by option.
  private var settings: [[String]: [String: FileSetting]] = [:]
  private var found: [(table: [String]?, problem: ConfigurationProblem)] = []

  public init(_ source: Source, for root: Command) {
    path = source.path
    let (table, errors) = TOMLParser.parse(source.bytes)
    for error in errors { add(error.explanation, at: error.position, in: nil) }
    read(table, at: [], of: root.settingTables, source)
    found.sort { Self.order($0.problem.position) < Self.order($1.problem.position) }
  }

  /// Everything that is wrong, in the order of the file.
  public var problems: [ConfigurationProblem] { found.map(\.problem) }

  /// What the file says to one command.
  ///
  /// What is wrong in the tables of others does not keep it from running: on a machine of many, a coordinator's mistake
  /// is no reason to answer no questions. What makes the file as a whole unreliable does.
  public func settings(for reading: CommandLineReading) throws(ConfigurationProblems) -> [String: FileSetting] {
    var result: [String: FileSetting] = [:]
    var tables: Set<[String]> = []
    for place in reading.places where place.path.count > 1 {
      let own = Array(place.path.dropFirst())
      tables.insert(own)
      var setting = settings[own]?[place.option.name]
      if let shared = place.option.sharedAs {
        tables.insert([shared])
        setting = setting ?? settings[[shared]]?[place.option.name]
      }
      result[place.option.name] = setting
    }
    let problems = found.filter { $0.table.map(tables.contains) ?? true }.map(\.problem)
    guard problems.isEmpty else { throw ConfigurationProblems(list: problems) }
    return result
  }

  private static func order(_ position: TOMLPosition?) -> (Int, Int) { (position?.line ?? 0, position?.column ?? 0) }

  private mutating func add(_ explanation: String, at position: TOMLPosition?, in table: [String]?) {
    found.append((table, ConfigurationProblem(explanation, in: path, at: position)))
  }

  private mutating func read(_ table: TOMLTable, at name: [String], of tables: [SettingTable], _ source: Source) {
    let options = tables.first { $0.name == name }?.options ?? []
    // The tables within this one.
    let children = tables.map(\.name).filter { $0.count > name.count && $0.starts(with: name) }.map { $0[name.count] }
    for entry in table.entries {
      if let option = options.first(where: { $0.name == entry.key }) {
        read(entry, of: option, at: name, source)
      } else if !children.contains(entry.key) {
        addUnknown(entry, at: name, options, children, tables)
      } else if case .table(let table) = entry.item.value {
        read(table, at: name + [entry.key], of: tables, source)
      } else {
        add("\(entry.key) is a command; its options stand in a table: [\(entry.key)]", at: entry.position, in: nil)
      }
    }
  }

  private mutating func read(
    _ entry: TOMLTable.Entry, of option: OptionDefinition, at name: [String], _ source: Source
  ) {
    if option.isSecret, !source.isPrivate {
      add(
        "others may read this file, so \(option.name) is no secret; do: chmod 600 \(path)", at: entry.position, in: nil)
    }
    do throws(SettingReader.Problem) {
      let texts = try SettingReader(option: option, home: source.home).texts(of: entry.item)
      settings[name, default: [:]][option.name] = FileSetting(
        texts: texts, path: path, line: entry.position.line, isShared: option.sharedAs.map { [$0] == name } ?? false)
    } catch {
      add(error.explanation, at: error.position, in: name)
    }
  }

  private mutating func addUnknown(
    _ entry: TOMLTable.Entry, at name: [String], _ options: [OptionDefinition], _ children: [String],
    _ tables: [SettingTable]
  ) {
    let key = TOMLText.key(String(entry.key.prefix(60)))
    let isTable = if case .table = entry.item.value { true } else { false }
    let nearest = { (words: [String]) in NearestWord.find(entry.key, in: words) }
    if name.isEmpty, isTable {
      let hint =
        nearest(children).map { "; did you mean [\($0)]?" } ?? "; lifeline config example shows those there are"
      return add("there is no table [\(key)]\(hint)", at: entry.position, in: nil)
    }
    if name.isEmpty {
      let owners = tables.filter { $0.options.contains { $0.name == entry.key } }
        .map { "[\($0.name.joined(separator: "."))]" }
      let hint =
        owners.isEmpty ? "the table of its command" : owners.prefix(4).joined(separator: " or ")
      return add("\(key) stands outside of every table; it belongs into \(hint)", at: entry.position, in: nil)
    }
    let title = "[\(name.joined(separator: "."))]"
    if entry.key.hasPrefix("no-"), let option = options.first(where: { $0.isFlag && "no-\($0.name)" == entry.key }) {
      return add("there is no \(key) in \(title); write \(option.name) = false", at: entry.position, in: name)
    }
    let hint = nearest(options.map(\.name) + children).map { "; did you mean \($0)?" } ?? ""
    add("there is no option \(key) in \(title)\(hint)", at: entry.position, in: name)
  }
}
