/// State behind a mutex.
package final class Locked<State>: @unchecked Sendable {
  // Sound because `state` is only touched while `lock` is held.
  private let lock = Lock()
  private var state: State

  package init(_ state: consuming sending State) {
    self.state = state
  }

  package func withLock<Result, Failure: Error>(
    _ body: (inout State) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try lock.withLock { () throws(Failure) in try body(&state) }
  }
}
