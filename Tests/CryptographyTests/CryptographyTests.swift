import Cryptography
import Testing

@Suite(.timeLimit(.minutes(5)))
struct CryptographyTests {
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
  ])
  func `SHA-256 gives the digests of FIPS 180-4's examples`(text: String, digest: String) {
    #expect(SHA256.digest(of: text).bytes == bytes(digest))
  }

  // RFC 4231 §4.2, §4.3, §4.7 (a key longer than a block), and an empty key.
  @Test(arguments: [
    (
      String(repeating: "0b", count: 20), "4869205468657265",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    ),
    (
      "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    ),
    (
      String(repeating: "aa", count: 131),
      "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    ),
    ("", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
  ])
  func `HMAC-SHA256 gives the codes of RFC 4231`(key: String, message: String, code: String) {
    #expect(HMACSHA256.code(of: bytes(message), key: bytes(key)).bytes == bytes(code))
  }

  @Test func `an authenticator serves one message after the other, whole or in parts`() {
    let authenticator = HMACSHA256(key: Array("key".utf8))
    let whole = HMACSHA256.code(of: Array("abcdef".utf8), key: Array("key".utf8))
    for _ in 0..<3 {
      authenticator.update(Array("abc".utf8))
      authenticator.update(Array("def, and what is not counted".utf8), count: 3)
      #expect(authenticator.finish() == whole)
    }
    authenticator.update(0x0102_0304_0506_0708)
    #expect(authenticator.finish() == HMACSHA256.code(of: [1, 2, 3, 4, 5, 6, 7, 8], key: Array("key".utf8)))
  }

  // RFC 5869 appendix A.3, and one of several blocks that was computed from the RFC's definition.
  @Test(arguments: [
    (
      "", "",
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    ),
    (
      "000102030405060708090a0b0c", "lifeline.v1 test",
      "d83f0ffcab8dc0cb768535b222691580b426e8491c049bf60bd8b60c12e42e18"
        + "5363a5ea22c1a2119dc5007164dcfb1c069e2c80ca1b16ba0e64e3444d71fdf71a3deb9f2a7234c7f07a59627289a149"
    ),
  ])
  func `HKDF-SHA256 gives the keys of RFC 5869`(salt: String, info: String, key: String) {
    let secret = [UInt8](repeating: 0x0b, count: 22)
    #expect(HKDF.key(from: secret, salt: bytes(salt), info: info, count: key.utf8.count / 2) == bytes(key))
  }

  // RFC 7914 §11, and one that Python's hashlib computed.
  @Test(arguments: [
    (
      "passwd", "salt", 1,
      "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        + "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
    ),
    ("Password", "NaCl", 800, "1598547e18f9530453e612b23559471989b8b96d6d1dca184b370686a2841fe8"),
  ])
  func `PBKDF2-HMAC-SHA256 gives the keys of RFC 7914`(password: String, salt: String, iterations: Int, key: String) {
    let derived = PBKDF2.key(
      from: Array(password.utf8), salt: Array(salt.utf8), iterations: iterations, count: key.utf8.count / 2)
    #expect(derived == bytes(key))
  }

  @Test func `secrets are the same only in every byte`() {
    #expect(ConstantTime.areEqual([], []))
    #expect(ConstantTime.areEqual([1, 2, 3], [1, 2, 3]))
    #expect(!ConstantTime.areEqual([1, 2, 3], [1, 2, 4]))
    #expect(!ConstantTime.areEqual([1, 2, 3], [1, 2]))
    #expect(SHA256.digest(of: "a") != SHA256.digest(of: "b"))
    #expect(SHA256Digest([UInt8](repeating: 0, count: 31)) == nil)
  }

  @Test func `random bytes are as many as asked for, and others each time`() {
    #expect(SecureRandom.bytes(0).isEmpty)
    #expect(SecureRandom.bytes(32).count == 32)
    #expect(SecureRandom.bytes(32) != SecureRandom.bytes(32))
  }

  private func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }
}
