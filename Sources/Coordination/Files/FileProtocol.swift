import CoordinationCore

/// The words of the file messages, which clients and workers share.
enum FileWords {
  static let get = "get_file"
  static let put = "put_file"
  static let status = "file_status"

  static func words(_ ask: FileTransfers.Ask) -> JSONObject {
    switch ask {
    case .get(let file, let offset, let count, let again):
      var words = start(get, file)
      words["offset"] = .integer(Int64(offset))
      words["length"] = .integer(Int64(count))
      if again { words["again"] = true }
      return words
    case .status(let file): return start(status, file)
    case .put(let file, let offset, _):
      var words = start(put, file)
      words["offset"] = .integer(Int64(offset))
      return words
    }
  }

  private static func start(_ type: String, _ file: FileReference) -> JSONObject {
    var words: JSONObject = ["type": .string(type)]
    for member in file.fields.members { words[member.key] = member.value }
    return words
  }

  /// What an answer to a question says.
  static func answer(to ask: FileTransfers.Ask, _ frame: FileFrames.Frame) -> FileTransfers.Answer {
    let reader = FieldReader(frame.words)
    guard frame.words["type"]?.string == "reply" else {
      let message = frame.words["message"]?.string ?? "the coordinator refused it"
      switch frame.words["code"]?.string {
      case "damaged": return .damaged
      case "unavailable": return .refused(message, isFinal: false)
      default: return .refused(message, isFinal: true)
      }
    }
    switch ask {
    case .get: return .piece(count: frame.piece.count)
    case .status, .put:
      do throws(MessageError) {
        let offset = try reader.integer("offset", in: 0...FileLimits.maxBytes)
        return .has(offset, isStored: try reader.optionalBool("stored") ?? false)
      } catch { return .refused("the coordinator's answer cannot be read: \(error)", isFinal: true) }
    }
  }
}
