import Testing

@testable import ArgumentParsing

@Suite struct NearestWordTests {
  @Test(arguments: [
    ("", "", 0), ("a", "", 1), ("", "abc", 3), ("port", "port", 0), ("prot", "port", 1), ("pot", "port", 1),
    ("ports", "port", 1), ("part", "port", 1), ("kitten", "sitting", 3), ("ab", "ba", 1),
  ])
  func `the distance counts letters inserted, dropped, replaced and swapped`(left: String, right: String, count: Int) {
    #expect(NearestWord.editDistance(left, right) == count)
    #expect(NearestWord.editDistance(right, left) == count)
  }

  @Test func `the nearest word is found, and none when all are far`() {
    let words = ["worker-id", "slots", "coordinator-host", "coordinator-port", "json"]
    #expect(NearestWord.find("worker_id", in: words) == "worker-id")
    #expect(NearestWord.find("SLOT", in: words) == "slots")
    #expect(NearestWord.find("work", in: words) == "worker-id")
    #expect(NearestWord.find("coordinator-prot", in: words) == "coordinator-port")
    #expect(NearestWord.find("verbose", in: words) == nil)
    #expect(NearestWord.find("", in: words) == nil)
    #expect(NearestWord.find(String(repeating: "slots", count: 1000), in: words) == nil)
  }
}
