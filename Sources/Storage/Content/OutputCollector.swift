import CoordinationCore

/// How much of what a command left behind is kept.
public struct CollectionLimits: Equatable, Sendable {
  public var maxFiles = FileLimits.maxOutputs
  /// Of all files together.
  public var maxBytes = 4 << 30
  /// Names in the folder that are looked at.
  public var maxEntries = 100_000

  public init() {}
}

/// Why outputs could not be collected.
public enum CollectionError: Error, Equatable, Sendable, CustomStringConvertible {
  case tooManyFiles(limit: Int)
  case tooManyBytes(limit: Int)
  case tooManyEntries(limit: Int)
  case badName(String)
  case content(ContentError)

  public var description: String {
    switch self {
    case .tooManyFiles(let limit): "more than \(limit) files are meant by its outputs"
    case .tooManyBytes(let limit): "the files that are meant by its outputs have more than \(limit) bytes together"
    case .tooManyEntries(let limit): "it left more than \(limit) files and folders behind"
    case .badName(let problem): "one of its outputs cannot be named: \(problem)"
    case .content(let error): "\(error)"
    }
  }
}

/// Takes what a command left behind, and some pattern means, into a content store.
struct OutputCollector {
  private let folder: ContentFolder
  private let patterns: [GlobPattern]
  private let limits: CollectionLimits

  init(_ folder: ContentFolder, _ patterns: [GlobPattern], _ limits: CollectionLimits) {
    self.folder = folder
    self.patterns = patterns
    self.limits = limits
  }

  /// - Returns: what was found, in the order of the paths, and pinned.
  func collect(from source: String) throws(CollectionError) -> [TaskOutput] {
    let tree: WorkingTree
    do throws(FileError) { tree = try WorkingTree(source) } catch {
      throw .content(.disk(error.storeError(source)))
    }
    var outputs: [TaskOutput] = []
    var bytes = 0
    do throws(CollectionError) {
      try tree.walk(
        maxEntries: limits.maxEntries, tooMany: { CollectionError.tooManyEntries(limit: limits.maxEntries) },
        isWanted: { path in patterns.contains { $0.matches(path) } }
      ) { path, file, mode throws(CollectionError) in
        guard outputs.count < limits.maxFiles else { throw .tooManyFiles(limit: limits.maxFiles) }
        if let problem = RelativePath.problem(path) { throw .badName(problem) }
        do throws(ContentError) {
          let reference = try folder.copyIn(file, limit: min(folder.limits.maxFileBytes, limits.maxBytes - bytes))
          // Pinned at once: the next one must not push it out.
          guard try folder.pin(reference) else { throw .missing(reference.digest) }
          bytes += reference.size
          outputs.append(TaskOutput(path: path, reference, mode: mode))
        } catch {
          if case .tooLarge = error, limits.maxBytes - bytes < folder.limits.maxFileBytes {
            throw .tooManyBytes(limit: limits.maxBytes)
          }
          throw .content(error)
        }
      }
    } catch {
      for output in outputs { folder.unpin(output.file.digest) }
      throw error
    }
    return outputs
  }
}
