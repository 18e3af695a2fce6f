import ArgumentParsing
import Testing

@Suite struct HelpPageTests {
  func page(_ words: [String], columns: Int = 80) throws -> String {
    guard case .help(let page) = try Sample.parse(words + ["--help"]) else { return "" }
    return page.text(columns: columns)
  }

  @Test func `a command's page has usage, purpose, options with defaults and limits, and examples`() throws {
    #expect(
      try page(["serve"]) == """
        Usage: sample serve --key KEY [OPTION…]

        Serves requests.

        It goes on until it is told to stop.

        Options:
          --port PORT        Where to listen. (1 to 65535; default: 8765; environment:
                             SAMPLE_PORT)
          --log-level LEVEL  What to log. (one of DEBUG, INFO, WARNING; default: INFO)
          --grace SECONDS    How long to wait. (0s to 10m; default: 30s)
          --store FILE       Where to keep the tasks. (default: in memory)
          --json             Print JSON. (environment: SAMPLE_JSON)
          --[no-]progress    Show progress. (default: on)
          --ratio X          How many may fail. (0.0 to 1.0; default: 0.5)

        Security:
          --key KEY          What the workers must show to be let in at all. (required;
                             environment: SAMPLE_KEY)

        Always:
          --help             Print this help.
          --version          Print the version.

        Examples:
          sample serve --key secret
              Serve on the usual port.

        """)
  }

  @Test func `the program's page lists its commands`() throws {
    #expect(
      try page([]) == """
        Usage: sample COMMAND …

        Does things.

        Commands:
          serve      Serves requests.
          run        Runs a command.
          logs       Prints a task's output.
          read       Reads files.

        Always:
          --help     Print this help.
          --version  Print the version.

        'sample COMMAND --help' explains a command.

        """)
  }

  @Test func `arguments and what follows two dashes are explained`() throws {
    let run = try page(["run"])
    #expect(run.hasPrefix("Usage: sample run [OPTION…] -- COMMAND [ARG…]\n"))
    #expect(run.contains("\n  -- COMMAND [ARG…]  What to run.\n"))
    #expect(run.contains("Set in the command's environment. (may be repeated)"))
    #expect(try page(["logs"]).hasPrefix("Usage: sample logs [OPTION…] ID [COUNT]\n"))
    #expect(try page(["read"]).hasPrefix("Usage: sample read FILE…\n"))
  }

  @Test(arguments: [0, 40, 55, 80, 100, 1000])
  func `no line is wider than the terminal`(columns: Int) throws {
    for words in [[], ["serve"], ["run"], ["logs"]] {
      let lines = try page(words, columns: columns).split(separator: "\n").filter { !$0.hasPrefix("Usage: ") }
      #expect(lines.allSatisfy { $0.count <= min(max(columns, 40), 100) }, "\(words)")
    }
  }
}
