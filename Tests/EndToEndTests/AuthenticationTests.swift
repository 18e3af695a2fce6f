import Authentication
import CoordinationCore
import Cryptography
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension EndToEnd {
  /// Keys, signatures, clocks and failed tries over real sockets and between real processes.
  @Suite struct AuthenticationTests {
    private static let workerPath = "/api/v1/worker/w1/ws"

    private func bearer(_ key: String?) -> [(name: String, value: String)] {
      [("Authorization", "Bearer \(key ?? "")")]
    }

    @Test func `no key, a wrong one, and one for something else are refused before the upgrade`() throws {
      let coordinator = try KeyedCoordinator()
      let keys = coordinator.keys
      let wrong = String((keys["worker"] ?? "").dropLast()) + "_"
      let requests: [(target: String, fields: [(name: String, value: String)], status: String, says: String)] = [
        (Self.workerPath, [], "401", #"{"error":"an API key is needed"}"#),
        (Protocols.clientPath, [], "401", "an API key is needed"),
        ("/nowhere", [], "401", "an API key is needed"),
        (Self.workerPath, bearer(wrong), "401", "is not accepted"),
        (Self.workerPath, bearer("nobody-knows-this"), "401", "is not accepted"),
        (Self.workerPath, bearer(keys["read-only"]), "403", "may not connect as a worker"),
        (Self.workerPath, bearer(keys["submitter"]), "403", "may not connect as a worker"),
        (Protocols.clientPath, bearer(keys["worker"]), "403", "may not see tasks"),
        (Self.workerPath, bearer(keys["worker"]), "101", "Switching Protocols"),
        (Protocols.clientPath, bearer(keys["read-only"]), "101", "Switching Protocols"),
        (Self.workerPath, try coordinator.proof("worker", Self.workerPath), "101", "X-Lifeline-Proof: "),
        (Self.workerPath, try coordinator.proof("submitter", Self.workerPath), "403", "may not connect as a worker"),
        (Self.workerPath, try coordinator.proof("worker", "/api/v1/worker/w2/ws"), "401", "is not accepted"),
      ]
      for request in requests {
        let answer = try coordinator.answer(request.target, request.fields)
        #expect(answer.hasPrefix("HTTP/1.1 \(request.status) "), "\(request): \(answer)")
        #expect(answer.contains(request.says), "\(request): \(answer)")
        #expect(answer.contains("WWW-Authenticate: Bearer") == (request.status == "401"))
        for key in keys.values { #expect(!answer.contains(key)) }
      }
      try coordinator.process.logs("wrong or unknown key")
      for line in coordinator.process.errors.all {
        for key in keys.values { #expect(!line.contains(key.suffix(40)), "\(line)") }
      }
    }

    @Test func `a request that is replayed, comes at the wrong hour, or lost a part of its proof is refused`() throws {
      let coordinator = try KeyedCoordinator(roles: ["worker"])
      let fields = try coordinator.proof("worker", Self.workerPath, offering: Protocols.session)
      func answer(_ fields: [(name: String, value: String)]) throws -> String {
        try coordinator.answer(Self.workerPath, fields, offering: Protocols.session)
      }
      let cut = fields.map { ($0.name, $0.name == UpgradeProof.proofField ? String($0.value.dropLast(2)) : $0.value) }
      #expect(try answer(cut).hasPrefix("HTTP/1.1 401 "))
      #expect(try answer(fields).hasPrefix("HTTP/1.1 101 "))
      let replayed = try answer(fields)
      #expect(replayed.hasPrefix("HTTP/1.1 403 "))
      #expect(replayed.contains("was seen before"))
      for (hours, direction) in [(1, "ahead of"), (-1, "behind")] as [(Int64, String)] {
        let late = try answer(
          try coordinator.proof("worker", Self.workerPath, offering: Protocols.session, ahead: hours * 3_600))
        #expect(late.hasPrefix("HTTP/1.1 403 "))
        #expect(late.contains("\(direction) the coordinator's"), "\(late)")
      }
      try coordinator.process.logs("replayed upgrade")
      try coordinator.process.logs("malformed proof")
      try coordinator.process.logs("the peer's clock is")
    }

    @Test func `an address that fails too often is told to wait, whatever it shows then`() throws {
      let coordinator = try KeyedCoordinator(roles: ["worker"])
      for _ in 0..<20 {
        #expect(try coordinator.answer(Self.workerPath, bearer("wrong-and-wrong-again")).hasPrefix("HTTP/1.1 401 "))
      }
      let answer = try eventually("refusal for too many tries") {
        let answer = try coordinator.answer(Self.workerPath, bearer("wrong-and-wrong-again"))
        return answer.hasPrefix("HTTP/1.1 429 ") ? answer : nil
      }
      #expect(answer.contains("Retry-After: "))
      #expect(answer.contains("too many failed attempts"))
      let right = try coordinator.answer(Self.workerPath, try coordinator.proof("worker", Self.workerPath))
      // On a slow machine a try may have come back meanwhile.
      #expect(right.hasPrefix("HTTP/1.1 429 ") || right.hasPrefix("HTTP/1.1 101 "))
    }

    @Test func `a worker and a client with keys do their work, and a role is held to`() throws {
      let coordinator = try KeyedCoordinator()
      let worker = try coordinator.startWorker("w1", key: coordinator.keys["worker"])
      try worker.registered()
      let run = try coordinator.start(["run", "--", "echo", "hello"], key: coordinator.keys["submitter"])
      #expect(try run.exit() == .exited(0))
      #expect(run.output.all.contains { $0.contains("hello") })
      let tasks = try coordinator.start(["tasks"], key: coordinator.keys["read-only"])
      #expect(try tasks.exit() == .exited(0))
      let submit = try coordinator.start(["submit", "--", "true"], key: coordinator.keys["read-only"])
      #expect(try submit.exit() == .exited(1))
      #expect(submit.errors.all.contains { $0.contains("may see tasks and workers, and not submit") })
      for (key, advice) in [(nil, "--api-key-file"), ("wrong-and-wrong-again", "is not accepted")] {
        let refused = try coordinator.start(["tasks", "--patience", "600"], key: key)
        #expect(try refused.exit() == .exited(1), "at once, whatever the patience")
        #expect(refused.errors.all.contains { $0.contains("401") && $0.contains(advice) }, "\(refused.errors.all)")
      }
    }

    @Test func `a worker whose key is not accepted says so and goes on trying until it is`() throws {
      let coordinator = try KeyedCoordinator(roles: ["worker"])
      let key = APIKey.generate(name: "late")
      let worker = try coordinator.startWorker("w1", key: key.text)
      try worker.logs("the coordinator refused with status 401")
      var ring = try KeyRing(text: String(decoding: TestProcess.contents(of: coordinator.keysFile), as: UTF8.self))
      try ring.add(KeyRecord(key, roles: [.worker]))
      let descriptor = open(coordinator.keysFile, O_WRONLY | O_TRUNC)
      let text = Array(ring.text.utf8)
      #expect(write(descriptor, text, text.count) == text.count)
      close(descriptor)
      try coordinator.reload()
      try worker.registered()
      #expect(!worker.errors.all.contains { $0.contains(key.text.suffix(40)) })
    }

    @Test func `a key is replaced without a session noticing, and withdrawn with the sessions that it opened`() throws {
      let coordinator = try KeyedCoordinator(roles: ["worker", "admin"])
      let old = try coordinator.startWorker("old", key: coordinator.keys["worker"])
      try old.registered()
      let key = try coordinator.keys("rotate", "worker")
      try coordinator.reload()
      let new = try coordinator.startWorker("new", key: key)
      try new.registered()
      let run = try coordinator.start(["run", "--", "true"], key: coordinator.keys["admin"])
      #expect(try run.exit() == .exited(0))
      for worker in [old, new] { #expect(!worker.errors.all.contains { $0.contains("disconnected") }) }
      try coordinator.keys("remove", "worker", "--older")
      try coordinator.reload()
      try old.logs("the key was withdrawn")
      try old.logs("the coordinator refused with status 401")
      #expect(!new.errors.all.contains { $0.contains("disconnected") })
    }

    @Test func `a key file that others may read is refused with what to do`() throws {
      let coordinator = try KeyedCoordinator(roles: ["worker"])
      let path = coordinator.directory.file("open.key")
      let descriptor = open(path, O_WRONLY | O_CREAT, 0o644)
      let text = Array("\(coordinator.keys["worker"] ?? "")\n".utf8)
      #expect(write(descriptor, text, text.count) == text.count)
      close(descriptor)
      chmod(path, 0o644)
      let tasks = try coordinator.start(["tasks", "--api-key-file", path], key: nil)
      #expect(try tasks.exit() == .exited(2))
      #expect(tasks.errors.all.contains { $0.contains("chmod 600 \(path)") })
      chmod(coordinator.keysFile, 0o640)
      let second = try TestProcess(
        Fleet.program, ["coordinator", "--port", "0", "--store", "memory", "--keys", coordinator.keysFile])
      #expect(try second.exit() == .exited(1))
      #expect(second.errors.all.contains { $0.contains("chmod 600 \(coordinator.keysFile)") })
      // The running one keeps the keys that it has.
      coordinator.process.signal(SIGHUP)
      try coordinator.process.logs("not reloaded")
      #expect(try coordinator.answer(Self.workerPath, bearer(coordinator.keys["worker"])).hasPrefix("HTTP/1.1 101 "))
      chmod(path, 0o600)
      let worker = try coordinator.startWorker("w1", key: nil, options: ["--api-key-file", path])
      try worker.registered()
    }

    @Test func `whoever has a key has nothing to do with a coordinator that does not know it`() throws {
      let coordinator = try KeyedCoordinator(roles: [])
      let worker = try coordinator.startWorker("w1", key: "correct-horse-battery")
      try worker.logs("is not the coordinator that this worker's key is for")
      #expect(!worker.errors.all.contains { $0.contains("worker: registered") })
      let tasks = try coordinator.start(["tasks"], key: "correct-horse-battery")
      #expect(try tasks.exit() == .exited(1))
      #expect(tasks.errors.all.contains { $0.contains("is not the coordinator that this key is for") })
    }

    @Test func `a coordinator is not for other machines without TLS and keys, unless told so`() throws {
      for options in [[], ["--api-key", "correct-horse-battery"]] {
        let process = try TestProcess(
          Fleet.program, ["coordinator", "--host", "0.0.0.0", "--port", "0", "--store", "memory"] + options)
        #expect(try process.exit() == .exited(1))
        #expect(process.output.all.isEmpty)
        #expect(process.errors.all.contains { $0.contains("--insecure") && $0.contains("--tls-certificate") })
      }
    }

    @Test func `the reference's enhanced worker is let in by its signature, and only by a right one`() throws {
      let key = "correct-horse-battery"
      let coordinator = try KeyedCoordinator(roles: [], options: ["--api-key", key])
      let digest = Base64.encode(SHA256.digest(of: key).bytes)
      func code(_ text: String) -> String {
        Base64.encode(HMACSHA256.code(of: Array(text.utf8), key: Array(digest.utf8)).bytes)
      }
      func headers(_ key: String, ahead: Int64 = 0, cut: Int = 0) -> [(String, String)] {
        let timestamp = "\(SystemWallClock.now().milliseconds / 1_000 + ahead)"
        let nonce = Base64.encode((0..<16).map { _ in UInt8.random(in: 0...255) })
        return [
          ("X-API-Key", key), ("X-Timestamp", timestamp), ("X-Nonce", nonce),
          ("X-Signature", String(code("\(key):\(timestamp):\(nonce)").dropLast(cut))),
        ]
      }
      let target = "/api/v1/worker/enhanced/ws"
      let wrong: [([(String, String)], String)] = [
        (headers("wrong-horse-battery"), "401"), (headers(key, cut: 1), "401"), (headers(key, cut: 4), "401"),
        (headers(key, ahead: 3_600), "403"), (headers("default-key"), "401"),
      ]
      for (fields, status) in wrong {
        #expect(try coordinator.answer(target, fields.map { ($0.0, $0.1) }).hasPrefix("HTTP/1.1 \(status) "))
      }
      let right = headers(key)
      let peer = try ScriptedPeer(port: coordinator.port, target, offering: nil, headers: right)
      try peer.hears("welcome")
      #expect(try coordinator.answer(target, right.map { ($0.0, $0.1) }).hasPrefix("HTTP/1.1 403 "), "replayed")
      // Signed as json.dumps(…, sort_keys=True) writes it.
      let members = #""timestamp": "2026-01-02T03:04:05.678901", "type": "registration", "worker_id": "enhanced""#
      let text = #"{"capabilities": {"cpu_count": 8}, \#(members)}"#
      peer.send(#"{"capabilities": {"cpu_count": 8}, "signature": "\#(code(text))", \#(members)}"#)
      try peer.hears("registration_ack")
      // The basic worker has only its key to show.
      let basic = try ScriptedPeer(
        port: coordinator.port, "/api/v1/worker/basic/ws", offering: nil, headers: [("Authorization", "Bearer \(key)")])
      try basic.hears("welcome")
    }

    @Test func `keys are made, listed, replaced and removed, and shown only once`() throws {
      let directory = TemporaryDirectory()
      let path = directory.file("keys")
      func keys(_ arguments: String..., expecting status: Int32 = 0) throws -> (output: String, errors: String) {
        let process = try TestProcess(Fleet.program, ["keys"] + arguments + ["--keys", path])
        #expect(try process.exit() == .exited(status), "\(process.errors.all)")
        return (process.output.all.joined(separator: "\n"), process.errors.all.joined(separator: "\n"))
      }
      let first = try keys("add", "ci", "--role", "submitter").output
      #expect(try APIKey(first).name == "ci")
      var status = stat()
      #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
      #expect(try keys("add", "ci", expecting: 1).errors.contains("rotate"))
      let second = try keys("rotate", "ci").output
      #expect(second != first)
      let list = try keys("list").output
      #expect(list.split(separator: "\n").count == 2 && list.contains("submitter"))
      let file = String(decoding: TestProcess.contents(of: path), as: UTF8.self)
      for key in [first, second] { #expect(!list.contains(key.suffix(40)) && !file.contains(key.suffix(40))) }
      let entries = try #require(try JSONParser.parse(try keys("list", "--json").output).array)
      #expect(entries.map { $0.object?.text("name") } == ["ci", "ci"])
      _ = try keys("remove", "ci", "--older")
      #expect(try KeyRing(text: String(decoding: TestProcess.contents(of: path), as: UTF8.self)).records.count == 1)
      #expect(try keys("remove", "nobody", expecting: 1).errors.contains("no such key"))
      #expect(try keys("rotate", "nobody", expecting: 1).errors.contains("no key named nobody"))
      _ = try keys("add", "a/b", expecting: 2)
      _ = try keys("add", "x", "--role", "king", expecting: 2)
    }
  }
}
