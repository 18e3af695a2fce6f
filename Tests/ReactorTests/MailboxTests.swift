import Glibc
import Reactor
import Synchronization
import TestSupport
import Testing

@Suite struct `a mailbox` {
  @Test func `runs every post of several threads once, each thread's in order`() throws {
    let posters = 4
    let posts = 5_000
    let thread = try EventLoopThread(name: "receiver") { _ in }
    let seen = Exchange<[[Int]]>()
    let ready = Exchange<LoopBound<LoopBoundBox<[[Int]]>>>()
    thread.mailbox.post { loop in
      let box = LoopBoundBox<[[Int]]>()
      box.value = Array(repeating: [], count: posters)
      ready.put(LoopBound(box, to: loop))
    }
    let lists = ready.take()
    let mailbox = thread.mailbox
    let senders = try (0..<posters).map { poster in
      try EventLoopThread(name: "sender") { loop in
        for number in 0..<posts {
          mailbox.post {
            lists.value.value?[poster].append(number)
            if lists.value.value?.allSatisfy({ $0.count == posts }) ?? false { seen.put(lists.value.value ?? []) }
          }
        }
        loop.stop()
      }
    }
    let result = seen.take()
    #expect(result == Array(repeating: Array(0..<posts), count: posters))
    for sender in senders { sender.join() }
    thread.stop()
    thread.join()
  }

  @Test func `refuses posts once its loop has ended`() throws {
    let thread = try EventLoopThread(name: "short-lived") { _ in }
    #expect(thread.mailbox.post {})
    thread.stop()
    thread.join()
    #expect(!thread.mailbox.post {})
  }

  @Test func `runs what it accepted even when the loop stops in the same batch`() throws {
    let ran = Atomic(0)
    let thread = try EventLoopThread(name: "stopping") { loop in
      loop.mailbox.post { loop in
        loop.stop()
        for _ in 0..<3 { #expect(loop.mailbox.post { ran.add(1, ordering: .relaxed) }) }
      }
    }
    thread.join()
    #expect(ran.load(ordering: .relaxed) == 3)
  }

  @Test func `releases a loop-bound value on the loop when the last reference goes elsewhere`() throws {
    let thread = try EventLoopThread(name: "owner") { _ in }
    let owner = Exchange<UInt>()
    let released = Exchange<UInt>()
    let made = Exchange<LoopBound<Recorder>>()
    thread.mailbox.post { loop in
      owner.put(UInt(pthread_self()))
      made.put(LoopBound(Recorder(onDeinit: { released.put(UInt(pthread_self())) }), to: loop))
    }
    do { _ = made.take() }
    #expect(released.take() == owner.take())
    thread.stop()
    thread.join()
  }
}

final class LoopBoundBox<Value> {
  var value: Value?
}
