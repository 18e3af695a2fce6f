import ArgumentParsing
import Primitives
import Trials

/// Where a trial keeps its tasks, and how many coordinators share it.
struct TrialStore {
  static let store = Option(
    "store", optional: .string, as: "URL", whenMissing: "a SQLite file in the report's folder",
    "postgres://… is a PostgreSQL database, of which the trial uses a schema that it makes and drops; the word postgres "
      + "starts a server for the trial (Debian's, in /tmp, removed afterwards).")
  static let coordinators = Option(
    "coordinators", optional: .integer(1...20), as: "N", whenMissing: "2 with --store, otherwise 1",
    "How many coordinators share the store; more than one needs --store.")
  static let keep = Option(flag: "keep", "Leave what --store holds in the end, and say where it is.")
  static let options: [any DeclaredOption] = [store, coordinators, keep]

  var place = TrialOptions.Store.file
  var coordinators = 1
  var isKept = false

  init() {}

  init(_ invocation: Invocation) throws(UsageError) {
    if let text = invocation[Self.store] {
      if text == "postgres" {
        place = .ownServer
      } else if let url = TrialDatabaseURL(text) {
        place = .database(url)
      } else {
        throw invocation.error("--store: this is neither postgres://… nor the word postgres")
      }
    }
    isKept = invocation[Self.keep]
    coordinators = invocation[Self.coordinators] ?? (place == .file ? 1 : 2)
    guard coordinators == 1 || place != .file else {
      throw invocation.error(
        "--coordinators \(coordinators): several cannot share a SQLite file; add --store postgres, or --store postgres://…"
      )
    }
  }

  /// What repeats it on a command line; a password is left out.
  var words: String {
    let store: String
    switch place {
    case .file: return ""
    case .ownServer: store = "postgres"
    case .database(let url): store = "'\(url.withoutPassword)'"
    }
    return " --store \(store) --coordinators \(coordinators)" + (isKept ? " --keep" : "")
  }

  func check(_ about: ScenarioAbout, _ invocation: Invocation) throws(UsageError) {
    if let objection = about.objection(to: place, coordinators: coordinators) { throw invocation.error(objection) }
  }
}
