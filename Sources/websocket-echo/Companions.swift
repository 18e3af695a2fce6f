import Reactor
import WebSocket

/// Further loops that serve the same port, each on a thread of its own; used on the main loop.
final class Companions {
  private struct Member {
    let thread: EventLoopThread
    var server: LoopBound<WebSocketServer>?
  }

  private var members: [Member] = []
  private let options: Options
  private let onReady: (SystemError?) -> Void

  /// `onReady` comes once all listen, or with the first error.
  init(_ options: Options, onReady: @escaping (SystemError?) -> Void) {
    self.options = options
    self.onReady = onReady
  }

  func start(at address: SocketAddress, from main: EventLoop) throws(SystemError) {
    if options.loops == 1 { return main.afterTurn { [self] in onReady(nil) } }
    let mailbox = main.mailbox
    let me = LoopBound(self, to: main)
    for index in 0..<(options.loops - 1) {
      let options = options
      let thread = try EventLoopThread(name: "echo \(index + 2)") { loop in
        let result: Result<LoopBound<WebSocketServer>, SystemError>
        do throws(SystemError) {
          result = .success(LoopBound(try Echo.serve(at: address, on: loop, options), to: loop))
        } catch {
          result = .failure(error)
        }
        mailbox.post { me.value.member(index, started: result) }
      }
      members.append(Member(thread: thread))
    }
  }

  private func member(_ index: Int, started result: Result<LoopBound<WebSocketServer>, SystemError>) {
    switch result {
    case .success(let server):
      members[index].server = server
      if members.allSatisfy({ $0.server != nil }) { onReady(nil) }
    case .failure(let error): onReady(error)
    }
  }

  /// Closes every connection; each loop ends when its connections are gone.
  func drain() {
    for member in members {
      guard let server = member.server else { continue }
      member.thread.mailbox.post { loop in server.value.close { loop.stop() } }
    }
  }

  func join() {
    for member in members { member.thread.join() }
  }
}
