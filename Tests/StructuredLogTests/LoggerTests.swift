import Glibc
import Primitives
import StructuredLog
import Terminal
import Testing

@Suite(.timeLimit(.minutes(5))) struct LoggerTests {
  /// The lines that `body` logs.
  func lines(_ level: LogLevel = .debug, _ body: (Logger) -> Void) -> [String] {
    var ends: [Int32] = [-1, -1]
    precondition(pipe(&ends) == 0)
    let writer = LineWriter(DescriptorWriter(descriptor: ends[1]))
    body(Logger(component: "test", level: level, to: writer) { WallTime(milliseconds: 0) })
    close(ends[1])
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(ends[0], &buffer, buffer.count)
      guard count > 0 else { break }
      text += buffer[..<count]
    }
    close(ends[0])
    return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test func `fields keep their order, whatever their type, and nil is left out`() {
    let lines = lines { log in
      let missing: String? = nil
      log.info("done", ["task": "t1", "attempt": 2, "took": Duration.milliseconds(250), "why": missing, "ok": true])
    }
    #expect(lines == ["1970-01-01T00:00:00.000Z INFO  test: done task=t1 attempt=2 took=0.25s ok=true"])
  }

  @Test func `a derived logger adds its fields to every line`() {
    let lines = lines { log in
      let session = log.with(["worker": "w1"]).with(["session": "a b"])
      session.warning("late", ["by": 3])
      session.component("other").error("gone")
    }
    #expect(
      lines == [
        "1970-01-01T00:00:00.000Z WARNING test: late worker=w1 session=\"a b\" by=3",
        "1970-01-01T00:00:00.000Z ERROR other: gone worker=w1 session=\"a b\"",
      ])
  }

  @Test func `levels below the logger's are neither written nor evaluated`() {
    var evaluations = 0
    func costly() -> Int {
      evaluations += 1
      return evaluations
    }
    let lines = lines(.warning) { log in
      log.debug("no", ["n": costly()])
      log.info("no", ["n": costly()])
      log.warning("yes", ["n": costly()])
      log.error("yes", ["n": costly()])
      log.critical("yes", ["n": costly()])
    }
    #expect(evaluations == 3 && lines.count == 3)
  }

  @Test func `lines from several threads do not mix`() {
    let lines = lines { log in
      var threads: [pthread_t] = []
      for _ in 0..<4 {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(log))
        pthread_create(
          &thread, nil,
          { argument in
            guard let argument else { return nil }
            let log = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().log
            for number in 0..<100 { log.info("counting", ["number": number, "text": "some words"]) }
            return nil
          }, box.toOpaque())
        threads.append(thread)
      }
      for thread in threads { pthread_join(thread, nil) }
    }
    #expect(lines.count == 400)
    #expect(
      lines.allSatisfy {
        $0.hasPrefix("1970-01-01T00:00:00.000Z INFO  test: counting number=") && $0.hasSuffix(" text=\"some words\"")
      })
  }

  @Test func `levels are ordered and named`() {
    #expect(LogLevel.allCases == LogLevel.allCases.sorted())
    #expect(LogLevel.allCases.map(\.rawValue) == ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
  }

  private final class Box {
    let log: Logger
    init(_ log: Logger) { self.log = log }
  }
}
