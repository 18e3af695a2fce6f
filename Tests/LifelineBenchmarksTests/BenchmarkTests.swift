import CoordinationCore
import LifelineBenchmarks
import Testing

@Suite(.timeLimit(.minutes(5))) struct BenchmarkTests {
  @Test(arguments: Benchmark.all)
  func `each benchmark still runs, and does the same work each time`(benchmark: Benchmark) throws {
    let first = try benchmark.run(at: .tiny, counting: .none)
    let second = try benchmark.run(at: .tiny, counting: .none)
    #expect(first.checksum != 0)
    #expect(first.checksum == second.checksum)
    #expect(first.operations == benchmark.operations(at: .tiny))
    #expect(first.allocations == nil)
  }

  @Test
  func `no two benchmarks share a name`() {
    #expect(Set(Benchmark.all.map(\.name)).count == Benchmark.all.count)
  }

  @Test
  func `the table and the JSON have a row for each benchmark`() throws {
    let benchmarks = Array(Benchmark.all.prefix(3))
    let measurements = try Measurement.take(benchmarks, repeats: 2, at: .tiny, counting: .none)
    let report = Report(.current, measurements)
    let lines = report.lines(width: nil)
    for benchmark in benchmarks {
      #expect(lines.contains { $0.hasPrefix(benchmark.name) })
    }
    let rows = report.json["benchmarks"]?.array ?? []
    #expect(rows.map { $0.object?["name"]?.string } == benchmarks.map(\.name))
  }
}
