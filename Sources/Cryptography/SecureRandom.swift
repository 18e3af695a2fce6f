import COpenSSL

/// Bytes that nobody can guess, from OpenSSL's generator.
public enum SecureRandom {
  public static func bytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    // SAFETY: OpenSSL writes the `count` bytes that the array has.
    let isDone = unsafe RAND_bytes(&bytes, Int32(clamping: count))
    // Going on with zeros would hand the secret to everybody.
    precondition(isDone == 1, "the system has no randomness")
    return bytes
  }
}
