/// An HTTP answer instead of an upgrade.
public struct Rejection: Hashable, Sendable {
  /// What is sent.
  public private(set) var response: HTTPResponse

  /// 300 to 599.
  public var status: Int {
    get { response.status }
    set { response.status = Self.status(newValue) }
  }
  /// The reason phrase; the status's usual one unless given.
  public var reason: String {
    get { response.reason }
    set { response.reason = newValue }
  }
  public var headers: HTTPHeaders {
    get { response.headers }
    set { response.headers = newValue }
  }
  public var contentType: String {
    get { response.contentType }
    set { response.contentType = newValue }
  }
  public var body: [UInt8] {
    get { response.body }
    set { response.body = newValue }
  }

  /// An answer with a body of your own; a reason that is no field text is left out.
  public init(
    status: Int, reason: String? = nil, headers: HTTPHeaders = [:], contentType: String = "application/json",
    body: [UInt8]
  ) {
    response = HTTPResponse(
      status: Self.status(status), reason: reason, headers: headers, contentType: contentType, body: body)
  }

  /// An answer whose body is `{"error": message}`.
  public init(status: Int, headers: HTTPHeaders = [:], message: String) {
    response = HTTPResponse(status: Self.status(status), headers: headers, message: message)
  }

  init(status: Int, headers: HTTPHeaders, message: String, connection: String) {
    self.init(status: status, headers: headers, message: message)
    response.connection = connection
  }

  private static func status(_ status: Int) -> Int { (300...599).contains(status) ? status : 500 }

  /// Appends the whole answer.
  func encode(into output: inout [UInt8]) { response.encode(into: &output) }
}
