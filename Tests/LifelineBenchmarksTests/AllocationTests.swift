import CoordinationCore
import Glibc
import Reactor
import TestSupport
import Testing

/// What the program `bench`, which counts allocations, says about itself.
@Suite(.timeLimit(.minutes(5))) struct AllocationTests {
  /// The program, beside the bundle that holds this test.
  private static let program: String = {
    // An executable or a bundle, and as much of its path as the system tells: the folder is the build's.
    var path = [UInt8](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &path, path.count)
    let candidates = [String(decoding: path.prefix(max(0, count)), as: UTF8.self)] + CommandLine.arguments
    let programs = candidates.compactMap { candidate -> String? in
      candidate.lastIndex(of: "/").map { candidate[..<$0] + "/bench" }
    }
    return programs.first(where: { access($0, X_OK) == 0 }) ?? "bench"
  }()

  private func status(_ arguments: [String]) throws -> Reactor.ExitStatus? {
    var status: Reactor.ExitStatus?
    try withLoop(limit: .seconds(30)) { loop in
      let configuration = ChildProcess.Configuration(executable: Self.program, arguments: arguments)
      _ = try ChildProcess.spawn(configuration, on: loop) {
        status = $0
        loop.stop()
      }
    }
    return status
  }

  private func rows(_ filter: String) throws -> [JSONObject] {
    var output: [UInt8] = []
    var hasEnded = false
    var status: Reactor.ExitStatus?
    try withLoop(limit: .seconds(30)) { loop in
      var configuration = ChildProcess.Configuration(
        executable: Self.program, arguments: ["--filter", filter, "--quick", "--repeats", "1", "--json"])
      configuration.standardOutput = .pipe(
        onBytes: { output += $0.withUnsafeBytes { Array($0) } }, onEnd: { hasEnded = true })
      _ = try ChildProcess.spawn(configuration, on: loop) { status = $0 }
      loop.when({ hasEnded && status != nil }) { loop.stop() }
    }
    #expect(status == .exited(0))
    return try JSONParser.parse(output).object?["benchmarks"]?.array?.compactMap(\.object) ?? []
  }

  @Test
  func `the decoder allocates nothing, however many frames it decodes`() throws {
    let rows = try rows("frame decode")
    #expect(rows.count == 3)
    for row in rows {
      // A build with a sanitizer counts none, and says so.
      guard let allocations = row["allocations_per_op"], allocations != .null else { continue }
      #expect(allocations.number == 0, "\(row.text)")
    }
  }

  @Test
  func `recording a metric allocates nothing`() throws {
    let rows = try rows("metric record")
    #expect(rows.count == 2)
    for row in rows {
      guard let allocations = row["allocations_per_op"], allocations != .null else { continue }
      #expect(allocations.number == 0, "\(row.text)")
    }
  }

  @Test
  func `what must not allocate is refused when it does`() throws {
    // Opening a session's message makes values, whatever the build.
    let arguments = ["--filter", "message decode", "--quick", "--repeats", "1", "--allocation-free"]
    #expect(try status(arguments) == .exited(1))
  }
}
