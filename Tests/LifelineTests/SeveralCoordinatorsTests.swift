import Glibc
import TestSupport
import Testing

extension LifelineTests {
  /// Addresses on the command line, in variables and in the configuration file.
  @Suite struct SeveralCoordinatorsTests {
    private static let dead = "ws://127.0.0.1:1"

    @Test func `the list may stand in one option, in several, in a variable and in the configuration`() throws {
      let fleet = try Fleet(workers: 0)
      let text = fleet.directory.file("text.toml"), list = fleet.directory.file("list.toml")
      write(Array("[client]\ncoordinator = \"\(Self.dead),\(fleet.url)\"\n".utf8), to: text)
      write(Array("[tasks]\ncoordinator = [\"\(Self.dead)\", \"\(fleet.url)\"]\n".utf8), to: list)
      let ways: [(words: [String], environment: [String: String])] = [
        (["--coordinator", "\(Self.dead),\(fleet.url)"], [:]),
        (["--coordinator", Self.dead, "--coordinator", fleet.url], [:]),
        ([], ["LIFELINE_COORDINATOR": "\(Self.dead), \(fleet.url)"]),
        ([], ["LIFELINE_COORDINATOR": "\(Self.dead)\n\(fleet.url)"]), ([], ["LIFELINE_CONFIG": text]),
        ([], ["LIFELINE_CONFIG": list]),
      ]
      for way in ways {
        let outcome = try RunningProgram(
          ["tasks", "--json"] + way.words, environment: ["LIFELINE_COORDINATOR": ""].merging(way.environment) { $1 }
        ).end()
        #expect(outcome.status == 0, "\(way): \(outcome.errors)")
        #expect(outcome.output == "[]\n", "\(way)")
      }
    }

    @Test func `what is given nearer to the user counts instead of the rest, and not beside it`() throws {
      let fleet = try Fleet(workers: 0)
      let outcome = try RunningProgram(
        ["tasks", "--patience", "0.2", "--coordinator", Self.dead], environment: ["LIFELINE_COORDINATOR": fleet.url]
      ).end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("no coordinator answered at \(Self.dead) for"), "\(outcome.errors)")
    }

    @Test func `workers and commands go on with the other coordinator when theirs is killed`() throws {
      let (one, other) = (try Fleet(workers: 0), try Fleet(workers: 0))
      let addresses = "\(one.url),\(other.url)"
      let worker = try one.startWorker("w1", ["--coordinator", addresses])
      let fleets = [one, other]
      func home(_ fleets: [Fleet]) throws -> Fleet? {
        for _ in 0..<500 {
          let found = try fleets.first { try $0.lifeline("workers").output.contains("connected") }
          if let found { return found }
        }
        return nil
      }
      let first = try #require(try home(fleets))
      try first.coordinator?.killNow()
      let second = try #require(try home(fleets.filter { $0 !== first }))
      let outcome = try RunningProgram(
        ["run", "--coordinator", addresses, "--", "echo", "moved"], environment: ["LIFELINE_COORDINATOR": ""]
      ).end()
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.output.contains("moved"))
      #expect(try second.lifeline("tasks").output.contains("completed"))
      worker.signal(SIGTERM)
    }
  }
}
