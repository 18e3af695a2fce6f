import Primitives

/// How one side tells the other when to come back.
///
/// Before the upgrade it is HTTP's `Retry-After` in whole seconds (RFC 9110 §10.2.3). In a Close frame it is the
/// beginning of the reason, `retry after 2.5 s`, followed by nothing or by `; ` and the words for people; so cutting the
/// reason to a Close frame's 123 bytes never cuts the hint.
public enum RetryHint {
  /// 1012: the coordinator ends, and another is about to be started (RFC 6455's registry, "service restart").
  public static let restart: UInt16 = 1012
  /// 1013: there is no room, or the peer does not read what it is sent ("try again later").
  public static let tryAgainLater: UInt16 = 1013

  private static let prefix = "retry after "
  private static let unit = " s"
  /// Longer wishes are taken for this; a day is a typing error or an attack.
  public static let longest: Duration = .seconds(3_600)

  /// A Close frame's reason. The delay is given in tenths of a second, rounded up.
  public static func reason(_ delay: Duration, _ text: String) -> String {
    let tenths = max(0, (delay.wholeMilliseconds + 99) / 100)
    return "\(prefix)\(tenths / 10).\(tenths % 10)\(unit); \(text)"
  }

  /// The delay that a Close frame asks for; `nil` without a hint, or when the code is none that asks anybody to come back:
  /// 1001 (going away), 1012 (service restart) and 1013 (try again later) do.
  public static func delay(ofClose code: UInt16, reason: String) -> Duration? {
    guard [1001, restart, tryAgainLater].contains(code), reason.hasPrefix(prefix) else { return nil }
    let rest = reason.dropFirst(prefix.count)
    let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let tail = rest.dropFirst(number.count)
    guard number.utf8.count <= 12, number.first != ".", number.last != ".", let seconds = Double(number),
      tail == unit || tail.hasPrefix(unit + ";")
    else { return nil }
    return min(.seconds(seconds), longest)
  }

  /// The value of `Retry-After`: whole seconds, rounded up, at least one.
  public static func fieldValue(_ delay: Duration) -> String {
    "\(max(1, (delay.wholeMilliseconds + 999) / 1_000))"
  }

  /// The delay that a `Retry-After` asks for; `nil` for anything but seconds. A date is no use to somebody whose clock may
  /// be wrong: then the usual backoff must do.
  public static func delay(ofField value: String) -> Duration? {
    guard !value.isEmpty, value.utf8.count <= 10, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let seconds = Int64(value)
    else { return nil }
    return min(.seconds(seconds), longest)
  }
}
