import Authentication
import CoordinationCore
import WebSocketCore

extension HTTPAPI {
  private static let maxFollowers = 1_000
  private static let contentType = "text/plain; charset=utf-8"

  func logs(_ id: TaskID, _ streams: Set<OutputStream>, _ reply: APIReply) {
    detail(id, reply) { detail in
      let output = detail.shownOutput
      var body: [UInt8] = []
      if streams.contains(.stdout) { body += output.stdout }
      if streams.contains(.stderr) { body += output.stderr }
      reply.send(HTTPResponse(headers: APIResponse.fields, contentType: Self.contentType, body: body))
    }
  }

  func follow(_ id: TaskID, _ streams: Set<OutputStream>, _ identity: Identity?, _ reply: APIReply) {
    guard followerCount < Self.maxFollowers else {
      return reply.problem(
        .unavailable("\(Self.maxFollowers) logs are being followed already", retryAfter: Self.fullRetryAfter))
    }
    detail(id, reply) { [self] detail in
      let head = HTTPResponse(headers: APIResponse.fields, contentType: Self.contentType, body: [])
      guard let stream = reply.stream(head) else { return }
      let follower = LogFollower(id, streams, over: stream, identity)
      follower.caughtUp(with: detail)
      guard !detail.task.state.status.isTerminal else { return follower.end() }
      followers[id, default: []].append(follower)
      followerCount += 1
      follower.onClose = { [weak self, weak follower] in if let follower { self?.remove(follower) } }
      // What was written between that reading and now was told to nobody.
      catchUp(follower)
    }
  }

  /// An attempt has ended: the store has all that it wrote, before the next one writes anything.
  func catchUpFollowers(of id: TaskID) {
    for follower in followers[id] ?? [] { catchUp(follower) }
  }

  private func catchUp(_ follower: LogFollower) {
    runtime.task(follower.task) { [weak self] result in
      if case .success(let detail?) = result {
        follower.caughtUp(with: detail)
        guard detail.task.state.status.isTerminal || !follower.isOpen else { return }
      }
      // Where the store cannot be read, nobody is left waiting for what would never come.
      follower.end()
      self?.remove(follower)
    }
  }

  func remove(_ follower: LogFollower) {
    guard let index = followers[follower.task]?.firstIndex(where: { $0 === follower }) else { return }
    followers[follower.task]?.remove(at: index)
    followerCount -= 1
    if followers[follower.task]?.isEmpty == true { followers[follower.task] = nil }
  }
}
