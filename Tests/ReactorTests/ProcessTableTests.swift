import Glibc
import Reactor
import TestSupport
import Testing

@Suite struct ProcessTableTests {
  @Test func `a process finds itself`() throws {
    let entry = try #require(ProcessTable.entry(of: getpid()))
    #expect(entry.parent == getppid() && entry.group == getpgrp() && entry.session == getsid(0))
    #expect(entry.isAlive)
    #expect(ProcessTable.entries().contains { $0.pid == getpid() })
  }

  @Test func `a number nobody has is no process`() {
    #expect(ProcessTable.entry(of: Int32.max) == nil)
    #expect(!ProcessTable.environment(of: Int32.max, has: "PATH", beginningWith: ""))
  }

  @Test func `a child is found by its environment and its state, whatever its name looks like`() throws {
    let folder = TemporaryDirectory()
    let program = folder.file("a) Z 1 (b")
    symlink("/bin/sleep", program)
    var configuration = ChildProcess.Configuration(executable: program, arguments: ["600"])
    configuration.environment = ["MARK": "blue-green"]
    configuration.group = .newSession
    try withLoop { loop in
      let child = try ChildProcess.spawn(configuration, on: loop) { _ in loop.stop() }
      // The spawn returns a moment before the kernel has the new program's environment in place.
      loop.when({ ProcessTable.environment(of: child.pid, has: "MARK", beginningWith: "blue") }) {
        #expect(!ProcessTable.environment(of: child.pid, has: "MARK", beginningWith: "green"))
        #expect(!ProcessTable.environment(of: child.pid, has: "ARK", beginningWith: "blue"))
        let entry = ProcessTable.entry(of: child.pid)
        #expect(entry?.parent == getpid() && entry?.session == child.pid && entry?.group == child.pid)
        #expect(ProcessTable.livingChildren().contains(child.pid))
        child.signal(SIGSTOP)
      }
      loop.when({ ProcessTable.entry(of: child.pid)?.state == "T" }) { child.signal(SIGKILL) }
    }
  }
}
