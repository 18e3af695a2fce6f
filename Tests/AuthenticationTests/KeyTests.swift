import Testing

@testable import Authentication

@Suite struct KeyTests {
  private static let line = "rack7 worker scram-sha-256$AAECAwQFBgcICQoLDA0ODw$\(String(repeating: "A", count: 43))"

  @Test(
    arguments: [
      ("", .length(0)), ("1234567", .length(7)), (String(repeating: "x", count: 257), .length(257)),
      ("pass word", .characters), ("päßword", .characters), ("password\n", .characters),
      ("default-key", .referenceDefault),
    ] as [(String, APIKey.ParseError)])
  func `what is no key is refused with the reason, which does not show it`(text: String, problem: APIKey.ParseError) {
    #expect(throws: problem) { try APIKey(text) }
    if text.utf8.count > 3, problem != .referenceDefault { #expect(!"\(problem)".contains(text)) }
  }

  @Test func `a generated key carries its name, and reads back as itself`() throws {
    let key = APIKey.generate(name: "rack7")
    let again = try APIKey(key.text)
    #expect(again.name == "rack7")
    #expect(again.proofKey == key.proofKey)
    #expect(APIKey.generate(name: "rack7").text != key.text)
    #expect(try APIKey("a.b.c.d.e").name == APIKey.defaultName, "whatever only looks like one is a chosen key")
  }

  @Test func `nothing that prints a key, or what follows from it, shows it`() throws {
    let key = try APIKey("correct-horse-battery")
    let secret = ChannelSecret(proofKey: key.proofKey, client: "a", server: "b")
    let identity = Identity(
      name: "a", roles: [], record: KeyRecord(key, roles: []), proofKey: key.proofKey, nonce: nil,
      legacyDigest: "digest!")
    var dumped = ""
    dump(key, to: &dumped)
    dump(secret, to: &dumped)
    dump(identity, to: &dumped)
    for text in ["\(key)", String(reflecting: key), "\(secret)", String(reflecting: secret), "\(identity)", dumped] {
      for hidden in [
        "horse", "\(key.proofKey)", "\(key.proofKey[0]), \(key.proofKey[1])", "\(secret.bytes)", "digest!",
      ] {
        #expect(!text.contains(hidden), "\(text)")
      }
      #expect(!text.contains("- \(secret.bytes[0])\n"))
    }
  }

  @Test(
    arguments: [
      (Role.worker, [true, false, false]), (.submitter, [false, true, true]), (.readOnly, [false, true, false]),
      (.admin, [true, true, true]),
    ])
  func `a role may do what it is for`(role: Role, expected: [Bool]) {
    #expect([Access.work, .read, .change].map { $0.isGranted(to: [role]) } == expected)
  }

  @Test func `a ring reads back as it was written`() throws {
    var ring = KeyRing()
    for role in Role.allCases { try ring.add(KeyRecord(APIKey.generate(name: "k-\(role)"), roles: [role, .worker])) }
    try ring.add(KeyRecord(APIKey.generate(name: "k-admin"), roles: [.admin]))
    #expect(try KeyRing(text: ring.text) == ring)
    #expect(try KeyRing(text: "\n  \n# nothing\n\(Self.line) # rack 7's\r\n").records.map(\.name) == ["rack7"])
  }

  @Test(
    arguments: [
      ("hello", 1, "found 1 words"), ("\n\(line) more", 2, "found 4 words"),
      (line.replacing("rack7 ", "rack/7 "), 1, "a name has 1 to 64"),
      (line.replacing(" worker ", " king "), 1, "king is no role"),
      (line.replacing("scram-sha-256", "md5"), 1, "is not scram-sha-256"),
      (String(line.dropLast()), 1, "is not scram-sha-256"), (line.replacing("AAEC", "AA"), 1, "is not scram-sha-256"),
      ("# x\n\(line)\n\(line)", 3, "this key is there already"),
    ] as [(String, Int, String)])
  func `a wrong line is named with what is wrong, and never with its hash`(text: String, line: Int, problem: String) {
    do {
      _ = try KeyRing(text: text)
      Issue.record("\(text) was taken")
    } catch {
      #expect("\(error)".hasPrefix("line \(line): "), "\(error)")
      #expect("\(error)".contains(problem), "\(error)")
      #expect(!"\(error)".contains("AAAAAAAA"))
    }
  }

  @Test func `a name's keys can be replaced one by one, and no name has very many`() throws {
    var ring = KeyRing()
    for _ in 0..<KeyRing.maxRecordsPerName { try ring.add(KeyRecord(APIKey.generate(name: "a"), roles: [.worker])) }
    #expect(throws: KeyRing.Problem.self) { try ring.add(KeyRecord(APIKey.generate(name: "a"), roles: [.worker])) }
    try ring.add(KeyRecord(APIKey.generate(name: "b"), roles: [.worker]))
    let newest = try #require(ring.records.last { $0.name == "a" })
    #expect(ring.remove(name: "a", fingerprint: ring.records[0].fingerprint) == 1)
    #expect(ring.removeOlder(name: "a") == 2)
    #expect(ring.records.filter { $0.name == "a" } == [newest])
    #expect(ring.remove(name: "a") == 1)
    #expect(ring.remove(name: "nobody") == 0)
    #expect(ring.records.map(\.name) == ["b"])
  }

  @Test(
    arguments: [
      (true, false, false, false, []), (false, true, true, false, []), (false, false, false, true, []),
      (false, true, false, true, []), (false, false, false, false, ["TLS", "an API key", "--insecure"]),
      (false, true, false, false, ["an API key", "--keys", "--insecure"]),
      (false, false, true, false, ["TLS", "--tls-certificate", "--insecure"]),
    ] as [(Bool, Bool, Bool, Bool, [String])])
  func `listening beyond this machine takes TLS and keys, or somebody who says that it need not`(
    isLoopback: Bool, hasTLS: Bool, hasKeys: Bool, isInsecure: Bool, names: [String]
  ) {
    let problem = ListeningRule.problem(
      host: "0.0.0.0", isLoopback: isLoopback, hasTLS: hasTLS, hasKeys: hasKeys, isInsecure: isInsecure)
    #expect((problem == nil) == names.isEmpty)
    for name in names { #expect(problem?.contains(name) == true, "\(problem ?? "")") }
  }
}

extension String {
  fileprivate func replacing(_ text: String, _ other: String) -> String {
    split(separator: text, maxSplits: 1, omittingEmptySubsequences: false).joined(separator: other)
  }
}
