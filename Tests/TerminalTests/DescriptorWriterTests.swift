import Glibc
import Terminal
import Testing

@Suite(.timeLimit(.minutes(5))) struct DescriptorWriterTests {
  init() { DescriptorWriter.ignoreBrokenPipeSignal() }

  @Test func `text arrives whole`() {
    let pipe = Pipe()
    #expect(DescriptorWriter(descriptor: pipe.writeEnd).write("héllo\n") == .written)
    #expect(DescriptorWriter(descriptor: pipe.writeEnd).write("") == .written)
    #expect(pipe.readAvailable() == "héllo\n")
  }

  @Test(arguments: [true, false], [nil, Duration.seconds(50)])
  func `text larger than the pipe is written in parts as the reader makes room`(isBlocking: Bool, patience: Duration?) {
    let pipe = Pipe()
    if !isBlocking { pipe.makeNonBlocking(pipe.writeEnd) }
    let text = String(repeating: "0123456789", count: 100_000)
    let descriptor = pipe.writeEnd
    let outcome = Outcome()
    var thread = pthread_t()
    let work = Unmanaged.passRetained(Work(descriptor: descriptor, text: text, patience: patience, outcome: outcome))
    pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
        work.outcome.value = DescriptorWriter(descriptor: work.descriptor).write(work.text, patience: work.patience)
        return nil
      }, work.toOpaque())
    var received = 0
    var buffer = [UInt8](repeating: 0, count: 7919)
    while received < text.utf8.count {
      let count = read(pipe.readEnd, &buffer, buffer.count)
      guard count > 0 else { break }
      received += count
    }
    pthread_join(thread, nil)
    #expect(received == text.utf8.count)
    #expect(outcome.value == .written)
  }

  @Test func `a reader that has gone is an outcome, not the end`() {
    let pipe = Pipe()
    pipe.closeReadEnd()
    #expect(DescriptorWriter(descriptor: pipe.writeEnd).write("x") == .closed)
    #expect(DescriptorWriter(descriptor: pipe.writeEnd).write("x", patience: .seconds(1)) == .closed)
  }

  @Test(arguments: [true, false])
  func `a reader that does not read is not waited for longer than allowed`(isBlocking: Bool) {
    let pipe = Pipe()
    if !isBlocking { pipe.makeNonBlocking(pipe.writeEnd) }
    let text = String(repeating: "x", count: 1_000_000)
    #expect(DescriptorWriter(descriptor: pipe.writeEnd).write(text, patience: .milliseconds(10)) == .stalled)
  }

  @Test func `a descriptor that does not take text is named by its error`() {
    #expect(DescriptorWriter(descriptor: -1).write("x") == .failed(EBADF))
    #expect(DescriptorWriter(descriptor: open("/dev/full", O_WRONLY)).write("x") == .failed(ENOSPC))
  }

  private final class Outcome: @unchecked Sendable { var value: DescriptorWriter.Outcome? }
  private final class Work {
    let descriptor: Int32
    let text: String
    let patience: Duration?
    let outcome: Outcome
    init(descriptor: Int32, text: String, patience: Duration?, outcome: Outcome) {
      (self.descriptor, self.text, self.patience, self.outcome) = (descriptor, text, patience, outcome)
    }
  }
}
