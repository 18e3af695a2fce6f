import Authentication
import CoordinationCore

/// What a request's target asks for.
enum Endpoint: Equatable {
  case worker(WorkerID)
  /// The reference lets a worker without a name connect to `/`.
  case anonymousWorker
  case client
  case badWorkerID(String)
  case unknown

  /// What whoever asks for it must be allowed to. Those who ask for nothing that there is are not told so for free.
  var access: Access {
    switch self {
    case .worker, .anonymousWorker, .badWorkerID: .work
    case .client, .unknown: .read
    }
  }

  init(target: String) {
    var path = String(target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).first ?? "")
    if path.count > 1, path.hasSuffix("/") { path.removeLast() }
    if path == "/" || path.isEmpty {
      self = .anonymousWorker
    } else if path == Protocols.clientPath {
      self = .client
    } else if path.hasPrefix(Protocols.workerPathPrefix), path.hasSuffix(Protocols.workerPathSuffix),
      path.count > Protocols.workerPathPrefix.count + Protocols.workerPathSuffix.count
    {
      let encoded = path.dropFirst(Protocols.workerPathPrefix.count).dropLast(Protocols.workerPathSuffix.count)
      guard let text = PercentEncoding.decoded(encoded) else {
        self = .badWorkerID("the worker id is not percent-encoded UTF-8")
        return
      }
      do { self = .worker(try WorkerID(text)) } catch { self = .badWorkerID("\(error)") }
    } else {
      self = .unknown
    }
  }
}
