public import CoordinationCore
import Reactor

/// Sends and gets files for a client of the coordinator. What is under way when the connection is lost goes on by itself
/// over the next, from the bytes that arrived.
public final class ClientFiles: FileCourierDisk {
  /// Where the pieces come from and go to; called on the loop.
  public struct Disk {
    /// `nil`: the file has changed meanwhile, or cannot be read.
    public var read: (FileReference, _ offset: Int, _ count: Int) -> [UInt8]?
    /// What was wrong; `nil`: nothing.
    public var write: (FileReference, _ offset: Int, [UInt8]) -> String?
    /// Whether all that was written is the file.
    public var verify: (FileReference) -> Bool

    public init(
      read: @escaping (FileReference, _ offset: Int, _ count: Int) -> [UInt8]? = { _, _, _ in nil },
      write: @escaping (FileReference, _ offset: Int, [UInt8]) -> String? = { _, _, _ in "it is not wanted" },
      verify: @escaping (FileReference) -> Bool = { _ in false }
    ) {
      self.read = read
      self.write = write
      self.verify = verify
    }
  }

  private let client: CoordinatorClient
  private let bytes: Disk
  private lazy var courier = FileCourier(self, on: client.loop)
  private var failure: ((ClientError) -> Void)?

  /// Called with every piece that arrived at the other end.
  public var onProgress: ((FileReference, Int) -> Void)?

  public init(_ client: CoordinatorClient, _ disk: Disk) {
    self.client = client
    bytes = disk
    courier.onProgress = { [weak self] in self?.onProgress?($0, $1) }
    // The client asks again by itself whatever was not answered, so for the courier its line never breaks.
    courier.use { [weak self] frame, answered in
      client.ask(frame) { result in
        switch result {
        case .success(let frame): answered(frame)
        case .failure(let error): self?.failure?(error)
        }
      }
    }
  }

  /// Called when the coordinator cannot be reached any more.
  public func onFailure(_ body: @escaping (ClientError) -> Void) { failure = body }

  /// Hands a file over; `done` is told what was wrong, or `nil` once the coordinator has it for good.
  public func send(_ file: FileReference, _ done: @escaping (String?) -> Void) {
    courier.send(file) { result in done(result.problem) }
  }

  /// Gets a file; `done` is told what was wrong, or `nil` once it was found to be right.
  public func get(_ file: FileReference, _ done: @escaping (String?) -> Void) {
    courier.get(file, from: 0) { result in done(result.problem) }
  }

  func read(
    _ file: FileReference, offset: Int, count: Int, _ done: @escaping (Result<[UInt8], FileProblem>) -> Void
  ) {
    guard let piece = bytes.read(file, offset, count), piece.count == count else {
      return done(.failure(FileProblem("the file cannot be read any more, or has changed")))
    }
    done(.success(piece))
  }

  func write(
    _ file: FileReference, offset: Int, _ piece: [UInt8], _ done: @escaping (Result<Void, FileProblem>) -> Void
  ) {
    done(bytes.write(file, offset, piece).map { .failure(FileProblem($0)) } ?? .success(()))
  }

  func verify(_ file: FileReference, _ done: @escaping (Bool) -> Void) { done(bytes.verify(file)) }
}

extension Result<Void, FileProblem> {
  fileprivate var problem: String? { if case .failure(let problem) = self { problem.description } else { nil } }
}

@available(*, unavailable) extension ClientFiles: Sendable {}
