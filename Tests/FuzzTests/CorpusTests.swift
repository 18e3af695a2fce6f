import Glibc
import TestSupport
import Testing

@Suite struct CorpusTests {
  /// Tests/Corpus, beside this file's folder.
  private static let folder: String = {
    let here = "\(#filePath)".split(separator: "/").dropLast(2).joined(separator: "/")
    return "/\(here)/Corpus"
  }()

  private static func files(of target: FuzzTarget) -> [String] {
    guard let stream = opendir("\(folder)/\(target.rawValue)") else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }

  @Test(arguments: FuzzTarget.allCases) func `every input of the corpus keeps every promise`(target: FuzzTarget) throws
  {
    let files = Self.files(of: target)
    #expect(!files.isEmpty, "there is no corpus in \(Self.folder)/\(target.rawValue)")
    for name in files {
      let bytes = TestProcess.contents(of: "\(Self.folder)/\(target.rawValue)/\(name)")
      do throws(Finding) {
        try target.run(bytes)
      } catch {
        Issue.record("\(target.rawValue)/\(name): \(error)")
      }
    }
  }

  /// `LIFELINE_WRITE_SEEDS=1 swift test --filter CorpusTests` writes them.
  @Test(arguments: FuzzTarget.allCases) func `the committed seeds are those of the source`(target: FuzzTarget) throws {
    let seeds = Seeds.of(target)
    let isWriting = getenv("LIFELINE_WRITE_SEEDS") != nil
    let folder = "\(Self.folder)/\(target.rawValue)"
    if isWriting {
      mkdir(Self.folder, 0o777)
      mkdir(folder, 0o777)
      for name in Self.files(of: target) where name.hasPrefix("seed-") { unlink("\(folder)/\(name)") }
      for (name, bytes) in seeds {
        let file = try #require(fopen("\(folder)/seed-\(name)", "w"))
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
        #expect(fclose(file) == 0)
      }
    }
    let committed = Self.files(of: target).filter { $0.hasPrefix("seed-") }
    #expect(committed == seeds.keys.map { "seed-\($0)" }.sorted())
    for (name, bytes) in seeds {
      let file = TestProcess.contents(of: "\(folder)/seed-\(name)")
      #expect(file == bytes, "\(target.rawValue)/seed-\(name) is not what Seeds.swift says")
    }
  }

  @Test(arguments: FuzzTarget.allCases) func `random inputs keep every promise`(target: FuzzTarget) {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("random inputs of \(target.rawValue): seed \(seed)")
    var random = MachineDriver.Generator(state: seed)
    let seeds = Seeds.of(target).sorted { $0.key < $1.key }.map(\.value)
    for round in 0..<400 {
      // Random bytes alone seldom get past the first; changed seeds do.
      var bytes = seeds.randomElement(using: &random) ?? []
      for _ in 0..<Int.random(in: 0...6, using: &random) {
        let place = Int.random(in: 0...bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
        case 1 where place < bytes.count: bytes.remove(at: place)
        case 2 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        default: bytes += (seeds.randomElement(using: &random) ?? []).dropFirst(2)
        }
      }
      do throws(Finding) {
        try target.run(bytes)
      } catch {
        Issue.record("seed \(seed), round \(round), bytes \(bytes): \(error)")
        return
      }
    }
  }
}
