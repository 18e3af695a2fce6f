import CoordinationCore
import Glibc
import TestSupport
import Testing

extension LifelineTests {
  @Suite struct CoordinatorCommandTests {
    @Test(arguments: [SIGTERM, SIGINT])
    func `the first line says where it listens, and a signal stops it`(signal: Int32) throws {
      let program = try RunningProgram(["coordinator", "--port", "0", "--store", "memory"])
      try program.wait("line") { $0.output.contains("\n") }
      #expect(program.output.hasPrefix("listening on ws://"))
      #expect(program.output.split(separator: "\n").count == 1)
      program.signal(signal)
      #expect(try program.end().status == 0)
    }

    @Test func `a port that is taken is named`() throws {
      let fleet = try Fleet(workers: 0)
      let port = String(try #require(fleet.url.split(separator: ":").last))
      let outcome = try RunningProgram(["coordinator", "--port", port, "--store", "memory"]).end()
      #expect(outcome.status == 1)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.contains("localhost:\(port)") && outcome.errors.contains("Address already in use"))
    }

    @Test func `a host that does not exist is named`() throws {
      let outcome = try RunningProgram(
        ["coordinator", "--host", "no-such-host.invalid", "--port", "0", "--store", "memory"]
      ).end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("no-such-host.invalid"))
    }

    @Test func `a file that is no database is refused and left as it is`() throws {
      let directory = TemporaryDirectory()
      let path = directory.file("letter.txt")
      let text = Array("Dear Sir or Madam, this is no database at all.\n".utf8)
      write(text, to: path)
      let outcome = try RunningProgram(["coordinator", "--port", "0", "--store", path]).end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains(path))
      #expect(contents(of: path) == text)
    }

    @Test func `a store of a newer program is refused and left as it is`() throws {
      let fleet = try Fleet(workers: 0)
      fleet.coordinator?.signal(SIGTERM)
      #expect(try fleet.coordinator?.end().status == 0)
      // The user version is a big-endian number at this place (SQLite's file format, §1.3).
      var bytes = contents(of: fleet.store)
      bytes.replaceSubrange(60..<64, with: [0, 0, 3, 231])
      write(bytes, to: fleet.store)
      let outcome = try RunningProgram(["coordinator", "--port", "0", "--store", fleet.store]).end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("999"), "\(outcome.errors)")
      #expect(contents(of: fleet.store) == bytes)
    }

    @Test func `a store that another coordinator has is refused`() throws {
      let fleet = try Fleet(workers: 0)
      let outcome = try RunningProgram(["coordinator", "--port", "0", "--store", fleet.store]).end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains(fleet.store))
    }

    @Test func `demonstration tasks are submitted once, however often it is started`() throws {
      let fleet = try Fleet(coordinator: ["--demo-tasks", "3"], workers: 0)
      try fleet.coordinator?.killNow()
      try fleet.startCoordinator(["--demo-tasks", "3"])
      let outcome = try fleet.lifeline("tasks", "--json")
      let ids = try JSONParser.parse(outcome.output).array?.compactMap { $0.object?["task_id"]?.string }
      #expect(ids?.sorted() == ["demo-1", "demo-2", "demo-3"])
    }
  }
}
