/// The writer's thread: applies what was requested, in order, and syncs once for everything that waited.
final class OutboxSession {
  private var file: OutboxFile?
  private let queue: BlockingQueue<OutboxWriter.Operation>
  private var appended: [@Sendable (Result<Void, StoreError>) -> Void] = []

  init(_ file: OutboxFile, _ queue: BlockingQueue<OutboxWriter.Operation>) {
    self.file = file
    self.queue = queue
  }

  /// Returns after the operation `.close`.
  func run() {
    let completion = serve()
    // The file is closed by now, and can be opened again.
    completion()
  }

  private func serve() -> () -> Void {
    guard let file else { return {} }
    while true {
      let close = perform(queue.takeAll(), on: file)
      if !appended.isEmpty || file.wantsCompaction || close != nil { sync(file) }
      if let close {
        self.file = nil
        return close
      }
    }
  }

  private func perform(_ operations: [OutboxWriter.Operation], on file: OutboxFile) -> (@Sendable () -> Void)? {
    var close: (@Sendable () -> Void)?
    for operation in operations {
      switch operation {
      case .append(let key, let content, let completion):
        do throws(StoreError) {
          try file.append(key: key, content)
          appended.append(completion)
        } catch {
          // After those before it, as promised.
          sync(file)
          completion(.failure(error))
        }
      // A removal alone needs no sync: at worst its entry is delivered once more.
      case .remove(let key): file.remove(key: key)
      case .close(let completion): close = completion
      }
    }
    return close
  }

  private func sync(_ file: OutboxFile) {
    var result: Result<Void, StoreError> = .success(())
    do throws(StoreError) { try file.sync() } catch { result = .failure(error) }
    for completion in appended { completion(result) }
    appended.removeAll(keepingCapacity: true)
  }
}
