/// The upper tail of the standard normal distribution, Q(y) = P(Y > y), as −log₁₀ Q(y).
///
/// Worked out here rather than by the C library's `erfc` for two reasons: `erfc` is zero from about y = 38 on, where
/// its logarithm is still needed, and a simulation must give the same bits on every machine.
enum NormalTail {
  private static let ln10 = 2.302585092994046
  private static let ln2 = 0.6931471805599453
  private static let halfLnTwoPi = 0.9189385332046727

  /// −log₁₀ Q(y): about 0 far below the mean, 0.301 at the mean, growing as y² far above it. Never NaN for finite y.
  static func negativeLog10(_ y: Double) -> Double {
    if y.isNaN { return 0 }
    if y > 3 { return (y * y / 2 + halfLnTwoPi + logarithm(inverseMillsRatio(y))) / ln10 }
    if y < -8 { return 0 }  // Q differs from 1 by less than a Double can hold.
    return -logarithm(0.5 - centralArea(y)) / ln10
  }

  /// The y at which −log₁₀ Q(y) reaches `threshold`, within ±100.
  static func point(whereNegativeLog10Is threshold: Double) -> Double {
    var low = -100.0
    var high = 100.0
    // 64 halvings bring 200 below the spacing of Doubles.
    for _ in 0..<64 {
      let middle = (low + high) / 2
      if negativeLog10(middle) < threshold { low = middle } else { high = middle }
    }
    return high
  }

  /// P(0 < Y < y), negative for negative y: density(y)·(y + y³/3 + y⁵/(3·5) + …), all terms of one sign.
  private static func centralArea(_ y: Double) -> Double {
    var term = y
    var sum = y
    var divisor = 3.0
    while abs(term) > abs(sum) * 1e-17 {
      term *= y * y / divisor
      sum += term
      divisor += 2
    }
    return sum * exponential(-y * y / 2 - halfLnTwoPi)
  }

  /// density(y) / Q(y) = y + 1/(y + 2/(y + 3/(y + …))), from the far end; 60 levels are exact to a Double for y > 3.
  private static func inverseMillsRatio(_ y: Double) -> Double {
    var value = y
    for level in stride(from: 60.0, through: 1, by: -1) { value = y + level / value }
    return value
  }

  /// eˣ for −700 < x < 700: x = k·ln 2 + r with |r| ≤ ½ ln 2, Taylor's series for r.
  static func exponential(_ x: Double) -> Double {
    let k = (x / ln2).rounded()
    let r = x - k * ln2
    var term = 1.0
    var sum = 1.0
    for n in 1...18 {
      term *= r / Double(n)
      sum += term
    }
    return Double(sign: .plus, exponent: Int(k), significand: sum)
  }

  /// ln x for finite x > 0: x = m·2ᵏ with m near 1, then 2·artanh((m−1)/(m+1)).
  static func logarithm(_ x: Double) -> Double {
    var m = x.significand
    var k = Double(x.exponent)
    if m > 1.4142135623730951 {
      m /= 2
      k += 1
    }
    let s = (m - 1) / (m + 1)
    var power = s
    var sum = 0.0
    for n in stride(from: 1.0, through: 25, by: 2) {
      sum += power / n
      power *= s * s
    }
    return 2 * sum + k * ln2
  }
}
