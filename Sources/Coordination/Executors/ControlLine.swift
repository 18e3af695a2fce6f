import CoordinationCore

/// What a command says on its control descriptor, one JSON object a line: `{"checkpoint": …}`, `{"progress": 0.4}`, or
/// both at once.
struct ControlLine: Equatable {
  var checkpoint: JSONValue?
  /// From 0 to 1.
  var progress: Double?

  struct Malformed: Error, Equatable, CustomStringConvertible {
    let description: String
  }

  init(_ bytes: [UInt8], maxCheckpointBytes: Int) throws(Malformed) {
    let value: JSONValue
    do {
      value = try JSONParser.parse(bytes)
    } catch {
      throw Malformed(description: "not a line of JSON: \(error)")
    }
    guard let object = value.object else {
      throw Malformed(description: "expected an object such as {\"checkpoint\": …}, found \(value.typeName)")
    }
    checkpoint = object["checkpoint"]
    if let bytes = checkpoint?.text.utf8.count, bytes > maxCheckpointBytes {
      throw Malformed(description: "the checkpoint has \(bytes) bytes; at most \(maxCheckpointBytes) are kept")
    }
    if let value = object["progress"] {
      guard let number = value.number, (0...1).contains(number) else {
        throw Malformed(description: "\"progress\" must be a number from 0 to 1")
      }
      progress = number
    }
    guard checkpoint != nil || progress != nil else {
      throw Malformed(description: "neither \"checkpoint\" nor \"progress\" is in it")
    }
  }
}
