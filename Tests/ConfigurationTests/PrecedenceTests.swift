import ArgumentParsing
import Configuration
import Testing

/// The command line counts first, then variables, then the file, then the default; in each the particular before the
/// general.
@Suite struct PrecedenceTests {
  /// One way to set `--address` of `list`, from the first that counts to the last.
  struct Way: CustomTestStringConvertible, Sendable {
    let name: String
    var words = ""
    var variable: String?
    var table: String?
    let source: OptionSource

    var testDescription: String { name }
  }

  static let ways = [
    Way(name: "the command line", words: " --address 0", source: .commandLine),
    Way(name: "the command's variable", variable: "SAMPLE_LIST_ADDRESS", source: .environment("SAMPLE_LIST_ADDRESS")),
    Way(name: "the shared variable", variable: "SAMPLE_CLIENT_ADDRESS", source: .environment("SAMPLE_CLIENT_ADDRESS")),
    Way(name: "the declared variable", variable: "SAMPLE_ADDRESS", source: .environment("SAMPLE_ADDRESS")),
    Way(name: "the command's table", table: "list", source: .file(path: "f.toml", line: 2)),
    Way(name: "the shared table", table: "client", source: .file(path: "f.toml", line: 2)),
    Way(name: "the default", source: .standard),
  ]

  static let pairs = ways.indices.flatMap { first in
    ways.indices.filter { $0 > first }.map { (first, $0) }
  }

  @Test(arguments: pairs) func `of two ways to set an option the nearer one counts`(first: Int, second: Int) throws {
    var (line, environment, text) = ("list", [String: String](), "")
    for index in [first, second] {
      let way = Self.ways[index]
      line += way.words
      if let variable = way.variable { environment[variable] = "\(index)" }
      if let table = way.table { text += "[\(table)]\naddress = \"\(index)\"\n" }
    }
    let invocation = try Sample.invocation(line, file: text, environment: environment)
    #expect(invocation.source(of: Sample.address) == Self.ways[first].source)
    #expect(invocation[Sample.address] == "\(first)")
  }

  @Test func `ranks follow the same order`() throws {
    var ranks: [Int] = []
    for way in Self.ways {
      let environment = way.variable.map { [$0: "x"] } ?? [:]
      let text = way.table.map { "[\($0)]\naddress = 'x'" } ?? ""
      let invocation = try Sample.invocation("list" + way.words, file: text, environment: environment)
      ranks.append(invocation.rank(of: Sample.address))
    }
    #expect(ranks == ranks.sorted() && Set(ranks).count == ranks.count)
  }

  @Test func `an empty variable counts as none`() throws {
    let invocation = try Sample.invocation(
      "list", file: "[list]\ncount = 5", environment: ["SAMPLE_LIST_COUNT": ""])
    #expect(invocation[Sample.count] == 5)
  }

  @Test func `several values of a variable stand on a line each`() throws {
    let environment = ["SAMPLE_SERVE_LABEL": "a=1, 2\nb=3\n"]
    let invocation = try Sample.invocation("serve", environment: environment)
    #expect(invocation[Sample.labels].map(\.value) == ["1, 2", "3"])
  }

  @Test func `a value that a variable has is judged and its variable named`() {
    #expect(throws: UsageError.self) {
      try Sample.invocation("serve", environment: ["SAMPLE_SERVE_PORT": "0"])
    }
    do {
      _ = try Sample.invocation("serve", environment: ["SAMPLE_SERVE_LOG_LEVEL": "LOUD"])
    } catch { #expect("\(error)".contains("environment variable SAMPLE_SERVE_LOG_LEVEL: LOUD is not valid")) }
  }

  @Test func `what repeats is not added up across places`() throws {
    let invocation = try Sample.invocation("serve --name a", file: "[serve]\nname = ['b', 'c']")
    #expect(invocation[Sample.names] == ["a"])
  }

  @Test func `no two options share a variable`() {
    var owners: [String: String] = [:]
    for (path, command) in Sample.root.tree {
      for option in command.options where option.sharedAs == nil {
        for variable in OptionPlace(option, of: path).variables {
          let owner = "\(path.joined(separator: " ")) --\(option.name)"
          #expect(owners.updateValue(owner, forKey: variable) == nil, "\(variable) is also \(owner)'s")
        }
      }
    }
  }
}
