import Testing

@testable import CoordinationCore

@Suite struct ParcelKeyTests {
  @Test(arguments: [("t/1/result", "t", 1, nil), ("a.b:c/12/34", "a.b:c", 12, 34)] as [(String, String, Int, Int?)])
  func `a key and its text are two forms of one thing`(text: String, id: String, attempt: Int, number: Int?) throws {
    let key = try #require(ParcelKey(text))
    #expect(key == ParcelKey(attempt: AttemptKey(try TaskID(id), attempt), checkpoint: number))
    #expect(key.text == text)
    #expect(key.isResult == (number == nil))
  }

  @Test(arguments: [
    "", "/", "//", "t", "t/1", "t/1/", "t//result", "/1/result", "t/x/result", "t/1/results", "t/u/1/result", "t/1/2/",
    "t/1/1.5", "t/1/résult",
  ])
  func `no other text is a key`(text: String) {
    #expect(ParcelKey(text) == nil)
  }
}
