/// Why the store could not do what was asked.
public enum StoreError: Error, Equatable, Sendable, CustomStringConvertible {
  case notADatabase(path: String)
  /// A database, but not one of ours.
  case otherProgram(path: String, applicationID: Int32)
  case newerSchema(path: String, found: Int, supported: Int)
  case locked(path: String)
  case cannotOpen(path: String, reason: String)
  case diskFull(path: String)
  case readOnly(path: String)
  case busy(path: String)
  case ioError(path: String, reason: String)
  case corrupt(path: String, reason: String)
  /// A value that could be written but never read again.
  case unstorable(what: String, reason: String)
  case overloaded(pendingWrites: Int, limit: Int)
  case closed
  case outboxLocked(path: String)
  case outboxFull(path: String, entries: Int, bytes: Int, limits: OutboxLimits)
  case other(code: Int32, message: String)
  /// A shared store cannot be reached, or ended the connection; whether what was asked for happened is not known.
  case unreachable(store: String, reason: String)
  /// Nothing is known of a store at this address, or it does not let us in: waiting does not help.
  case refused(store: String, reason: String)
  /// This coordinator is not a member of the shared store any more; others have taken over its tasks.
  case fenced

  /// Whether committing the same writes again may succeed without anything being repaired in the program.
  public var isTransient: Bool {
    switch self {
    case .diskFull, .busy, .ioError, .overloaded, .outboxFull, .unreachable: true
    case .refused, .fenced, .notADatabase, .otherProgram, .newerSchema, .locked, .cannotOpen, .readOnly, .corrupt,
      .unstorable, .closed,
      .outboxLocked, .other:
      false
    }
  }

  public var description: String {
    switch self {
    case .notADatabase(let path):
      "\(path) is not a SQLite database; it was left as it is. Choose another file with --store"
    case .otherProgram(let path, let id):
      "\(path) is the database of another program (application id \(id)); it was left as it is. "
        + "Choose another file with --store"
    case .newerSchema(let path, let found, let supported):
      "\(path) has schema version \(found), this program knows versions up to \(supported); it was left as it is. "
        + "Use the newer program that wrote it, or choose another file with --store"
    case .locked(let path):
      "another coordinator uses the store \(path). Stop it, or choose another file with --store"
    case .cannotOpen(let path, let reason):
      "cannot open \(path): \(reason)"
    case .diskFull(let path):
      "no space left for \(path). Free some space; the write can then be repeated"
    case .readOnly(let path):
      "\(path) cannot be written. Check its owner and permissions, and those of its directory"
    case .busy(let path):
      "\(path) is locked by another program. End what writes to it; the write can then be repeated"
    case .ioError(let path, let reason):
      "input/output error on \(path): \(reason). Check the disk; the write can be repeated"
    case .corrupt(let path, let reason):
      "\(path) is damaged: \(reason). Restore it from a copy, or save what can be read with `sqlite3 FILE .recover`"
    case .unstorable(let what, let reason):
      "\(what) cannot be stored: \(reason)"
    case .overloaded(let pending, let limit):
      "\(pending) writes wait for the disk, at most \(limit) may. Slow down; the write can then be repeated"
    case .closed:
      "the store was closed before this was requested"
    case .outboxLocked(let path):
      "another worker uses the outbox \(path). Give this one another --worker-id or --state-dir"
    case .outboxFull(let path, let entries, let bytes, let limits):
      "the outbox \(path) holds \(entries) entries in \(bytes) bytes; at most \(limits.maxEntries) entries and "
        + "\(limits.maxBytes) bytes are allowed. It drains when the coordinator can be reached"
    case .other(let code, let message):
      "\(message) (code \(code))"
    case .unreachable(let store, let reason):
      "the store \(store) cannot be reached: \(reason). It is tried again"
    case .refused(let store, let reason):
      "the store \(store) cannot be used: \(reason)"
    case .fenced:
      "this coordinator was away from its store for too long, and others have taken over its tasks"
    }
  }
}
