import Glibc

/// A call to the system that failed: which, on what, why, and what to do about it.
///
/// Reads like `bind 127.0.0.1:80: Permission denied (EACCES); ports below 1024 need privileges`.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The operation, usually a system call: `bind`, `connect`, `recv`, `resolve`.
  public let call: String
  /// What the call was about: an address, a path, a program; may be empty.
  public let subject: String
  /// The `errno` value; negative values are `EAI_` codes of name resolution.
  public let code: Int32
  /// What to do, or more about the cause; may be empty.
  public let detail: String
  /// What went wrong with TLS, where that is the cause; the code is `EPROTO` then.
  public let tls: TLSFailure?

  public init(call: String, subject: String = "", code: Int32, detail: String = "", tls: TLSFailure? = nil) {
    self.call = call
    self.subject = subject
    self.code = code
    self.detail = detail
    self.tls = tls
  }

  /// A TLS connection that did not come about, or broke.
  init(tls failure: TLSFailure, with peer: String) {
    self.init(call: "TLS with", subject: peer, code: EPROTO, detail: "\(failure)", tls: failure)
  }

  public var description: String {
    let target = subject.isEmpty ? "" : " \(subject)"
    let advice = detail.isEmpty ? "" : "; \(detail)"
    return "\(call)\(target): \(Self.message(of: code)) (\(Self.name(of: code)))\(advice)"
  }

  /// The system's words for a code, such as `Connection refused`.
  public static func message(of code: Int32) -> String {
    if code < 0 {
      // SAFETY: gai_strerror returns a constant string for every code.
      guard let text = unsafe gai_strerror(code) else { return "Unknown error" }
      return unsafe String(cString: text)
    }
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      // SAFETY: the buffer outlives the call; the XSI variant terminates the text inside it.
      guard let start = buffer.baseAddress, unsafe strerror_r(code, start, buffer.count) == 0 else {
        return "Unknown error"
      }
      return unsafe String(cString: start)
    }
  }

  /// The symbolic name of a code, such as `ECONNREFUSED`, or the number when it has none here.
  public static func name(of code: Int32) -> String { names[code] ?? "\(code)" }

  private static let names: [Int32: String] = [
    E2BIG: "E2BIG", EACCES: "EACCES", EADDRINUSE: "EADDRINUSE", EADDRNOTAVAIL: "EADDRNOTAVAIL",
    EAFNOSUPPORT: "EAFNOSUPPORT", EAGAIN: "EAGAIN", EALREADY: "EALREADY", EBADF: "EBADF", EBUSY: "EBUSY",
    ECANCELED: "ECANCELED", ECHILD: "ECHILD", ECONNABORTED: "ECONNABORTED", ECONNREFUSED: "ECONNREFUSED",
    ECONNRESET: "ECONNRESET", EDESTADDRREQ: "EDESTADDRREQ", EEXIST: "EEXIST", EFAULT: "EFAULT",
    EHOSTDOWN: "EHOSTDOWN", EHOSTUNREACH: "EHOSTUNREACH", EINPROGRESS: "EINPROGRESS", EINTR: "EINTR",
    EINVAL: "EINVAL", EIO: "EIO", EISCONN: "EISCONN", EISDIR: "EISDIR", ELOOP: "ELOOP", EMFILE: "EMFILE",
    EMSGSIZE: "EMSGSIZE", ENAMETOOLONG: "ENAMETOOLONG", ENETDOWN: "ENETDOWN", ENETRESET: "ENETRESET",
    ENETUNREACH: "ENETUNREACH", ENFILE: "ENFILE", ENOBUFS: "ENOBUFS", ENODEV: "ENODEV", ENOENT: "ENOENT",
    ENOEXEC: "ENOEXEC", ENOMEM: "ENOMEM", ENOSPC: "ENOSPC", ENOSYS: "ENOSYS", ENOTCONN: "ENOTCONN",
    ENOTDIR: "ENOTDIR", ENOTSOCK: "ENOTSOCK", EOPNOTSUPP: "EOPNOTSUPP", EPERM: "EPERM", EPIPE: "EPIPE",
    EPROTO: "EPROTO", EROFS: "EROFS", ESRCH: "ESRCH", ETIMEDOUT: "ETIMEDOUT", ETXTBSY: "ETXTBSY",
    EAI_AGAIN: "EAI_AGAIN", EAI_FAIL: "EAI_FAIL", EAI_FAMILY: "EAI_FAMILY", EAI_MEMORY: "EAI_MEMORY",
    EAI_NONAME: "EAI_NONAME", EAI_SERVICE: "EAI_SERVICE", -5: "EAI_NODATA",
  ]
}
