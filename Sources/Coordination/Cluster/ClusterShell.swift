import CoordinationCore
import Primitives
import Reactor
import Storage

/// Does for a `ClusterCore` what it wants of the store and of other members, and brings it the answers.
final class ClusterShell {
  let store: any SharedTaskStore
  let core: ClusterCore
  private let loop: EventLoop
  private let log: (LogEntry) -> Void
  /// Hands an event to the core within the runtime's turn.
  var feed: ((ClusterEvent) -> Void)?
  /// The store says that this is no member any more.
  var onFenced: (() -> Void)?
  /// The store failed for good.
  var onFailure: ((StoreError) -> Void)?
  /// Why nothing can be committed now; `nil` while it can.
  private(set) var problem: String?
  private var isOver = false
  private var longMessages = LongMessages()
  /// Of what goes to others at once.
  private let maxMessageBytes: Int

  init(_ membership: Membership, on loop: EventLoop, log: @escaping (LogEntry) -> Void) {
    store = membership.store
    maxMessageBytes = type(of: membership.store).maxMessageBytes
    core = membership.core
    self.loop = loop
    self.log = log
    let (mailbox, bound) = (loop.mailbox, LoopBound(self, to: loop))
    store.onSignal { signal in mailbox.post { bound.value.received(signal) } }
  }

  /// Nothing that still comes concerns anybody.
  func abandon() {
    isOver = true
    feed = nil
    onFenced = nil
    onFailure = nil
  }

  func perform(_ effect: ClusterEffect) {
    switch effect {
    case .renew: store.renew(answer { .renewed($0) })
    case .claim(let wishes, let limit, let overdueBefore):
      store.claim(wishes, limit: limit, overdueBefore: overdueBefore, answer { .claimed($0) })
    case .gather(let worker): store.gather(worker, answer { .gathered(worker, $0) })
    case .locate(let id, let task): store.locate(task, answer { .located(id, $0) })
    case .poolNeeds:
      // Read only: when that fails, it is asked again soon.
      store.poolNeeds(answer(otherwise: .say(.poolNeeds([]))) { .poolNeeds($0) })
    case .testFates:
      let filter = TestFilter(hasFate: true, limit: Quarantine.maxFates)
      store.tests(matching: filter, answer(otherwise: .say(.testFates(nil))) { .testFates($0) })
    case .send(let message, let member): send(message, to: member)
    case .coordinator, .changedElsewhere, .changedManyElsewhere, .callRoll, .rolled, .abilities: break
    }
  }

  func send(_ message: ClusterMessage, to member: MemberID?) {
    for part in longMessages.parts(of: message.text, atMost: maxMessageBytes) { store.send(part, to: member) }
  }

  /// What a question that cannot be answered now means.
  private enum Otherwise {
    case fail
    case say(ClusterEvent)
  }

  private func answer<Value: Sendable>(
    otherwise: Otherwise = .fail, _ event: @escaping @Sendable (Value) -> ClusterEvent
  ) -> @Sendable (Result<Value, StoreError>) -> Void {
    let (mailbox, bound) = (loop.mailbox, LoopBound(self, to: loop))
    return { result in
      mailbox.post {
        let shell = bound.value
        switch result {
        case .success(let value): shell.feed?(event(value))
        case .failure(let error): shell.failed(error, otherwise)
        }
      }
    }
  }

  private func failed(_ error: StoreError, _ otherwise: Otherwise) {
    guard !isOver else { return }
    switch error {
    case .fenced: onFenced?()
    case .closed: break
    case let error:
      switch otherwise {
      case .fail: onFailure?(error)
      case .say(let event): feed?(event)
      }
    }
  }

  private func received(_ signal: StoreSignal) {
    guard !isOver else { return }
    switch signal {
    case .message(let text, let member):
      guard let text = longMessages.take(text, from: member) else { return }
      do { feed?(.message(try ClusterMessage(text: text), from: member)) } catch {
        log(LogEntry(.debug, "message of another coordinator ignored", ["member": "\(member)", "problem": "\(error)"]))
      }
    case .poolChanged: feed?(.poolChanged)
    case .memberLeft: feed?(.memberLeft)
    case .mayHaveMissed: feed?(.mayHaveMissed)
    case .reachable(let isReachable):
      guard isReachable == (problem != nil) else { return }
      problem =
        isReachable
        ? nil : "the store cannot be reached: no task is given out, and nothing is acknowledged until it is back"
      log(
        LogEntry(
          isReachable ? .info : .error, isReachable ? "the store can be reached again" : "the store cannot be reached"))
    }
  }
}

@available(*, unavailable) extension ClusterShell: Sendable {}
