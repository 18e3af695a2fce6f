import Testing

@testable import Terminal

@Suite(.timeLimit(.minutes(5))) struct LineWriterTests {
  func writer(_ pipe: Pipe, isTerminal: Bool) -> LineWriter {
    LineWriter(DescriptorWriter(descriptor: pipe.writeEnd), patience: .milliseconds(10), isTerminal: isTerminal)
  }

  @Test func `a pipe is no terminal and gets lines only`() {
    let pipe = Pipe()
    let writer = LineWriter(DescriptorWriter(descriptor: pipe.writeEnd))
    #expect(!writer.isTerminal && writer.columns == 80)
    writer.show(live: "[###]")
    writer.write(line: "one")
    writer.show(.line("two"))
    writer.show(nil)
    #expect(pipe.readAvailable() == "one\ntwo\n")
  }

  @Test func `the live line stays last`() {
    let pipe = Pipe()
    let writer = writer(pipe, isTerminal: true)
    writer.show(live: "[#--]")
    writer.write(line: "log")
    writer.show(live: "[##-]")
    writer.show(live: "[##-]")
    writer.show(live: "")
    writer.write(line: "end")
    let erase = "\r\u{1B}[K"
    #expect(pipe.readAvailable() == "[#--]\(erase)log\n[#--]\(erase)[##-]\(erase)end\n")
  }

  @Test func `a live block of several lines is erased as a whole`() {
    let pipe = Pipe()
    let writer = writer(pipe, isTerminal: true)
    writer.show(live: "a\nb\nc")
    writer.write(line: "log")
    writer.show(live: "d")
    writer.show(live: "")
    let eraseThree = "\r\u{1B}[2A\u{1B}[J"
    #expect(pipe.readAvailable() == "a\nb\nc\(eraseThree)log\na\nb\nc\(eraseThree)d\r\u{1B}[K")
  }

  @Test func `lines that nobody reads are counted and mentioned when somebody reads again`() {
    let pipe = Pipe()
    let writer = writer(pipe, isTerminal: false)
    let line = String(repeating: "x", count: 4000)
    for _ in 0..<100 where writer.lostLines < 3 { writer.write(line: line) }
    #expect(writer.lostLines == 3)
    _ = pipe.readAvailable()
    writer.write(line: "back")
    #expect(pipe.readAvailable() == "(3 lines lost: nobody read them)\nback\n")
    #expect(writer.lostLines == 0)
  }
}
