import CoordinationCore
import Testing

@Suite(.timeLimit(.minutes(5)))
struct GlobPatternTests {
  @Test(arguments: [
    ("a.txt", "a.txt", true), ("a.txt", "b/a.txt", false), ("*.txt", "a.txt", true), ("*.txt", "b/a.txt", false),
    ("*.txt", ".txt", true), ("**/*.txt", "a.txt", true), ("**/*.txt", "b/c/a.txt", true), ("out/**", "out/a", true),
    ("out/**", "out/b/c", true), ("out/**", "output/a", false), ("out/", "out/b/c", true), ("out", "out/a", false),
    ("a/**/b", "a/b", true), ("a/**/b", "a/x/y/b", true), ("a/**/b", "a/x/y/c", false), ("**", "a/b/c", true),
    ("?.txt", "ä.txt", true), ("?.txt", "ab.txt", false), ("[a-c]x", "bx", true), ("[a-c]x", "dx", false),
    ("[!a-c]x", "dx", true), ("[!a-c]x", "ax", false), ("[]]x", "]x", true), ("[a-]x", "-x", true),
    ("a*b*c", "aXbYc", true), ("a*b*c", "aXcYb", false), ("*", ".hidden", true), ("**/**/x", "x", true),
    ("a**b", "axxb", true), ("*/b", "a/b", true), ("*/b", "b", false),
  ])
  func `a pattern means these paths and no others`(pattern: String, path: String, isMeant: Bool) throws {
    #expect(try GlobPattern(pattern).matches(path) == isMeant)
  }

  @Test(arguments: ["", "/etc/*", "../x", "a/../b", "a//b", ".", "[a", "a/[!", "x\u{7}"])
  func `a pattern that leaves the folder, or is none, is refused`(pattern: String) {
    #expect(throws: MessageError.self) { try GlobPattern(pattern) }
  }

  @Test func `a pattern made to take long does not`() throws {
    let stars = Array(repeating: "**/a*a*a*a*b", count: 20).joined(separator: "/")
    let path = Array(repeating: String(repeating: "a", count: 15), count: 60).joined(separator: "/")
    #expect(try !GlobPattern(stars).matches(path))
  }
}

@Suite(.timeLimit(.minutes(5)))
struct RelativePathTests {
  @Test(arguments: ["a", "a/b", ".hidden", "a b/c", "ä/ö", "...", "a/..b"])
  func `a path inside of a folder is taken`(path: String) { #expect(RelativePath.problem(path) == nil) }

  @Test(arguments: [
    "", "/a", "..", "a/..", "../a", "a/../b", ".", "a/.", "./a", "a//b", "a/", "a\u{0}b", "a\nb", "a\u{1b}[2J",
    String(repeating: "x", count: 256), Array(repeating: "a", count: 65).joined(separator: "/"),
    String(repeating: "a/", count: 600) + "b",
  ])
  func `a path that may lead elsewhere is refused`(path: String) { #expect(RelativePath.problem(path) != nil) }
}

@Suite(.timeLimit(.minutes(5)))
struct TaskFilesTests {
  private static let digest = String(repeating: "0f", count: 32)

  private func read(_ members: String) throws -> TaskSpecification {
    guard let object = try JSONParser.parse("{\"command\":[\"a\"],\(members)}").object else { fatalError("no object") }
    return try TaskSpecification(json: object)
  }

  @Test func `inputs and outputs are read back as they were written`() throws {
    let text = """
      "inputs":[{"path":"in/a","sha256":"\(Self.digest)","size":3,"mode":493},{"path":"b","sha256":"\(Self.digest)","size":3}],
      "outputs":["out/**","*.xml"]
      """
    let specification = try read(text)
    #expect(specification.inputs.map(\.path) == ["in/a", "b"])
    #expect(specification.inputs.map(\.isExecutable) == [true, false])
    #expect(specification.outputs.map(\.text) == ["out/**", "*.xml"])
    #expect(try TaskSpecification(json: specification.json) == specification)
    #expect(specification.workerKind == "command_files")
  }

  @Test(arguments: [
    #""inputs":[{"path":"../a","sha256":"D","size":3}]"#, #""inputs":[{"path":"/a","sha256":"D","size":3}]"#,
    #""inputs":[{"path":"a","sha256":"D"}]"#, #""inputs":[{"path":"a","sha256":"xyz","size":1}]"#,
    #""inputs":[{"path":"a","sha256":"D","size":-1}]"#, #""inputs":[{"path":"a","sha256":"D","size":1e30}]"#,
    #""inputs":[{"path":"a","sha256":"D","size":1},{"path":"a","sha256":"D","size":1}]"#,
    #""inputs":[{"path":"a","sha256":"D","size":1},{"path":"a/b","sha256":"D","size":1}]"#,
    #""inputs":[{"path":"a","sha256":"D","size":1,"owner":"root"}]"#, #""inputs":[7]"#, #""inputs":{}"#,
    #""outputs":["../x"]"#, #""outputs":[1]"#, #""outputs":"x""#, #""cwd":"/tmp","outputs":["x"]"#,
  ])
  func `files that cannot be are refused`(members: String) {
    #expect(throws: MessageError.self) { try read(members.replacing("\"D\"", with: "\"\(Self.digest)\"")) }
  }

  @Test(arguments: ["inputs", "outputs"])
  func `only a command has files`(name: String) {
    #expect(throws: MessageError.self) { try TaskSpecification(json: ["kind": "demo_task", name: []]) }
  }
}
