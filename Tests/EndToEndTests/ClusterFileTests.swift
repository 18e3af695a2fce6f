import CoordinationCore
import FaultProxy
import Glibc
import Reactor
import TestSupport
import Testing

extension EndToEnd {
  /// Files of tasks where two coordinators share a PostgreSQL: whoever took them, each has them.
  @Suite(.serialized, .enabled(if: PostgresServer.isUsable, "PostgreSQL is not installed: make deps-postgresql"))
  struct ClusterFileTests {
    private func cluster() throws -> Cluster { try Cluster(store: PostgresServer.shared().freshURL()) }

    private func expectOutput(_ cluster: Cluster, of id: String, _ bytes: [UInt8], at name: Cluster.Name) throws {
      let target = cluster.directory.file("fetched-\(id)-\(name)")
      #expect(try cluster.client(name, ["fetch", id, "--to", target]) == "out/deep/copy")
      #expect(TestProcess.contents(of: "\(target)/out/deep/copy") == bytes)
    }

    @Test func `a file that one coordinator took is given out by the other, and outputs are had from either`() throws {
      let cluster = try cluster()
      _ = try cluster.worker("w1", at: .b)
      let bytes = FileTests.content(3_000_000)
      try FileTests().write(bytes, to: cluster.directory.file("in.bin"))
      let arguments = [
        "--input", cluster.directory.file("in.bin"), "--output", "out/**", "--", "sh", "-c", FileTests.copy,
      ]
      let text = try cluster.client(.a, ["run", "--run", "there"] + arguments)
      #expect(text == "3000000")
      for name in Cluster.Name.allCases {
        try expectOutput(cluster, of: "there-0001", FileTests.copied(bytes), at: name)
      }
      // The other has the input already.
      let relay = try FaultRelay(to: cluster.address(.b))
      defer { relay.stop() }
      let again = try TestProcess(
        Fleet.program, ["run", "--run", "again"] + arguments, environment: ["LIFELINE_COORDINATOR": relay.url])
      #expect(try again.exit(limit: .seconds(60)) == .exited(0), "\(again.errors.all)")
      #expect(relay.bytesUp < 100_000, "\(relay.bytesUp) bytes up")
      // Retried at the coordinator that its client never spoke to.
      _ = try cluster.client(.a, ["retry", "again-0001"])
      #expect(try cluster.ended("again-0001.2", at: .b).text("status") == "completed")
    }

    @Test func `a run whose coordinator is killed in the middle of its upload ends right at the other`() throws {
      let cluster = try cluster()
      _ = try cluster.worker("w1")
      let relays = try Cluster.Name.allCases.map { name in (name, try FaultRelay(to: cluster.address(name))) }
      defer { for (_, relay) in relays { relay.stop() } }
      for (_, relay) in relays { relay.setBandwidth(10_000_000, .up) }
      let bytes = FileTests.content(FileTests.size, seed: 8)
      try FileTests().write(bytes, to: cluster.directory.file("in.bin"))
      let running = try TestProcess(
        Fleet.program,
        [
          "run", "--run", "upload", "--input", cluster.directory.file("in.bin"), "--output", "out/**", "--", "sh", "-c",
          FileTests.copy,
        ], environment: ["LIFELINE_COORDINATOR": relays.map(\.1.url).joined(separator: ",")])
      let taker = try eventually("the middle of the upload") {
        relays.first { $0.1.bytesUp > FileTests.size / 2 }?.0
      }
      try cluster.coordinator(taker).kill()
      #expect(try running.exit(limit: .seconds(60)) == .exited(0), "\(running.errors.all)")
      #expect(running.output.all == ["\(FileTests.size)"])
      // What the killed one had recorded was not sent again.
      let up = relays.reduce(0) { $0 + $1.1.bytesUp }
      #expect(up < FileTests.size + 3 * TransferWindow.maxBytes, "\(up) bytes up")
      let task = try cluster.ended("upload-0001", at: taker.other)
      #expect(task.text("status") == "completed")
      #expect(task.number("attempt") == 1)
      try expectOutput(cluster, of: "upload-0001", FileTests.copied(bytes), at: taker.other)
    }

    @Test func `outputs whose coordinator is killed while they go up arrive whole at the other`() throws {
      let cluster = try cluster()
      let relays = try Cluster.Name.allCases.map { name in (name, try FaultRelay(to: cluster.address(name))) }
      defer { for (_, relay) in relays { relay.stop() } }
      for (_, relay) in relays { relay.setBandwidth(10_000_000, .up) }
      let worker = try cluster.worker("w1", through: relays.map(\.1))
      let holder = try cluster.firstHolder(of: "w1")
      let bytes = FileTests.content(FileTests.size, seed: 9)
      try FileTests().write(bytes, to: cluster.directory.file("in.bin"))
      let id = try cluster.client(
        holder.other,
        [
          "submit", "--run", "outputs", "--input", cluster.directory.file("in.bin"), "--output", "out/**", "--", "sh",
          "-c", FileTests.copy,
        ])
      let relay = try #require(relays.first { $0.0 == holder }?.1)
      try eventually("the middle of the outputs") { relay.bytesUp > FileTests.size / 2 ? true : nil }
      try cluster.coordinator(holder).kill()
      try worker.registered(2)
      let task = try cluster.ended(id, at: holder.other)
      #expect(task.text("status") == "completed", "\(task)")
      #expect(task.number("attempt") == 1)
      let up = relays.reduce(0) { $0 + $1.1.bytesUp }
      #expect(up < FileTests.size + 3 * TransferWindow.maxBytes, "\(up) bytes up")
      try expectOutput(cluster, of: id, FileTests.copied(bytes), at: holder.other)
    }
  }
}
