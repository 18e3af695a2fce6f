import CoordinationCore
import WebSocketCore

/// Why the API does not do what was asked, as RFC 9457 writes it.
struct APIProblem: Error, Equatable {
  /// The last word of the problem's `type`, `urn:lifeline:problem:…`.
  enum Kind: String, CaseIterable {
    case badRequest = "bad-request"
    case badParameter = "bad-parameter"
    case unauthorized
    case forbidden
    /// The request comes from another site's page.
    case foreignOrigin = "foreign-origin"
    case unknownHost = "unknown-host"
    case notFound = "not-found"
    case methodNotAllowed = "method-not-allowed"
    case conflict
    case tooLarge = "too-large"
    case mediaType = "unsupported-media-type"
    case invalidTask = "invalid-task"
    case keyReused = "idempotency-key-reused"
    case tooMany = "too-many-requests"
    case unavailable

    var status: Int {
      switch self {
      case .badRequest, .badParameter: 400
      case .unauthorized: 401
      case .forbidden, .foreignOrigin, .unknownHost: 403
      case .notFound: 404
      case .methodNotAllowed: 405
      case .conflict: 409
      case .tooLarge: 413
      case .mediaType: 415
      case .invalidTask, .keyReused: 422
      case .tooMany: 429
      case .unavailable: 503
      }
    }

    var title: String {
      switch self {
      case .badRequest: "The request is malformed"
      case .badParameter: "A parameter is wrong"
      case .unauthorized: "Who asks is not known"
      case .forbidden: "Who asks may not do this"
      case .foreignOrigin: "Pages of other sites may not ask"
      case .unknownHost: "The coordinator is not called by this name"
      case .notFound: "There is no such thing"
      case .methodNotAllowed: "The path does not take this method"
      case .conflict: "It cannot be done now"
      case .tooLarge: "The request is too large"
      case .mediaType: "The body must be application/json"
      case .invalidTask: "A task cannot be accepted"
      case .keyReused: "The idempotency key was used for another request"
      case .tooMany: "Too many requests"
      case .unavailable: "Try again later"
      }
    }
  }

  static let contentType = "application/problem+json"

  var kind: Kind
  var detail: String
  /// The member or parameter that is to blame.
  var field: String?
  var headers: HTTPHeaders = [:]

  init(_ kind: Kind, _ detail: String, field: String? = nil) {
    self.kind = kind
    self.detail = detail
    self.field = field
  }

  static func notFound(_ detail: String) -> APIProblem { APIProblem(.notFound, detail) }

  /// - Parameter delay: what whoever asks is told to wait.
  static func unavailable(_ detail: String, retryAfter delay: Duration) -> APIProblem {
    var problem = APIProblem(.unavailable, detail)
    problem.headers.append("Retry-After", RetryHint.fieldValue(delay))
    return problem
  }

  static func methodNotAllowed(_ allowed: [String]) -> APIProblem {
    let list = allowed.joined(separator: ", ")
    var problem = APIProblem(.methodNotAllowed, "the path takes \(list)")
    problem.headers.append("Allow", list)
    return problem
  }

  init(_ problem: PageRule.Problem) {
    self.init(problem == .foreignOrigin ? .foreignOrigin : .unknownHost, PageRule.words(problem))
  }

  /// A refusal that was worded for upgrades.
  init(_ response: HTTPResponse) {
    let kind: Kind =
      switch response.status {
      case 401: .unauthorized
      case 403: .forbidden
      case 404: .notFound
      case 429: .tooMany
      case 503: .unavailable
      default: .badRequest
      }
    var text = response.reason
    if case .object(let object)? = try? JSONParser.parse(response.body), let words = object["error"]?.string {
      text = words
    }
    self.init(kind, text)
    headers = response.headers
  }

  /// What is wrong with a submitted object.
  ///
  /// - Parameter place: where in the body the object is; empty where it is the body.
  init(_ error: MessageError, in place: String) {
    let (name, kind): (String?, Kind) =
      switch error {
      case .missingField(let name), .wrongType(let name, _, _), .badValue(let name, _), .unknownField(let name, _):
        (name, .invalidTask)
      case .notJSON, .notAnObject, .badChecksum, .badCode: (nil, .badRequest)
      }
    let parts = [place, name ?? ""].filter { !$0.isEmpty }
    self.init(kind, "\(error)", field: parts.isEmpty ? nil : String(parts.joined(separator: ".").prefix(256)))
  }

  /// - Parameter instance: the path that was asked for.
  func response(instance: String) -> HTTPResponse {
    var object: JSONObject = [
      "type": .string("urn:lifeline:problem:\(kind.rawValue)"), "title": .string(kind.title),
      "status": .integer(Int64(kind.status)), "detail": .string(detail), "instance": .string(instance),
    ]
    if let field { object["field"] = .string(field) }
    var body: [UInt8] = []
    object.write(into: &body)
    body.append(UInt8(ascii: "\n"))
    var fields = headers
    for field in APIResponse.fields.fields { fields.append(field.name, field.value) }
    return HTTPResponse(status: kind.status, headers: fields, contentType: Self.contentType, body: body)
  }
}
