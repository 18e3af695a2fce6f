/// What the fuzzer may throw any bytes at; the tests replay `Tests/Corpus/NAME` through the same functions.
public enum FuzzTarget: String, CaseIterable, Sendable {
  /// `FrameDecoder`, both roles, against `ReferenceFrames`.
  case frames
  /// A server's reading of a request, and of what follows it.
  case request
  /// A client's reading of a response, and of what follows it.
  case response
  /// permessage-deflate: its negotiation, inflating anything, and round trips.
  case deflate
  /// `ConnectionMachine`, both roles, with sends, closes and time between reads, against `ReferencePeer`.
  case connection
  /// `TOMLParser`, on anything, and on what it understood.
  case toml

  /// Runs one input; throws what is wrong with the code under test, whatever the bytes are.
  public func run(_ bytes: [UInt8]) throws(Finding) {
    var input = FuzzInput(bytes)
    switch self {
    case .frames: try FramesTarget.run(&input)
    case .request: try RequestTarget.run(&input)
    case .response: try ResponseTarget.run(&input)
    case .deflate: try DeflateTarget.run(&input)
    case .connection: try ConnectionTarget.run(&input)
    case .toml: try TOMLTarget.run(&input)
    }
  }
}

/// A broken promise of the code under test.
public struct Finding: Error, CustomStringConvertible {
  public let description: String
}

/// Throws unless the promise holds.
func require(_ holds: Bool, _ promise: @autoclosure () -> String) throws(Finding) {
  guard holds else { throw Finding(description: promise()) }
}
