import CoordinationCore

/// What is submitted: one specification, or many.
struct SubmissionBody: Equatable {
  static let maxTasks = 10_000

  var tasks: [TaskSubmission]
  /// Whether the body was `{"tasks": […]}`, whatever their number; the answer has the same form.
  var isList: Bool
}

extension SubmissionBody {
  /// - Parameter isKeyed: whether the tasks get their names from an idempotency key.
  init(_ request: APIRequest, isKeyed: Bool) throws(APIProblem) {
    try Self.checkMediaType(request)
    let value: JSONValue
    do { value = try JSONParser.parse(request.body) } catch {
      throw APIProblem(.badRequest, "the body is not JSON: \(error)")
    }
    guard let object = value.object else {
      throw APIProblem(.badRequest, "the body must be an object, this is \(value.typeName)")
    }
    guard let list = object["tasks"] else {
      tasks = [try Self.submission(object, at: "", isKeyed)]
      isList = false
      return
    }
    guard object.count == 1 else {
      throw APIProblem(.badRequest, "a body with tasks has nothing beside them", field: "tasks")
    }
    guard let elements = list.array else {
      throw APIProblem(.invalidTask, "it must be an array of specifications", field: "tasks")
    }
    guard !elements.isEmpty else { throw APIProblem(.invalidTask, "it is empty", field: "tasks") }
    guard elements.count <= Self.maxTasks else {
      throw APIProblem(
        .tooLarge, "\(elements.count) tasks; at most \(Self.maxTasks) are taken at once", field: "tasks")
    }
    tasks = []
    tasks.reserveCapacity(elements.count)
    isList = true
    for (index, element) in elements.enumerated() {
      guard let object = element.object else {
        throw APIProblem(.invalidTask, "it must be an object, this is \(element.typeName)", field: "tasks[\(index)]")
      }
      tasks.append(try Self.submission(object, at: "tasks[\(index)]", isKeyed))
    }
  }

  private static func submission(
    _ object: JSONObject, at place: @autoclosure () -> String, _ isKeyed: Bool
  ) throws(APIProblem) -> TaskSubmission {
    do {
      var id: TaskID?
      if let name = try FieldReader(object).optionalString("task_id", maxBytes: 4_096) {
        guard !isKeyed else {
          throw MessageError.badValue("task_id", problem: "with an Idempotency-Key the tasks get their ids from it")
        }
        do { id = try TaskID(name) } catch { throw MessageError.badValue("task_id", problem: "\(error)") }
      }
      return TaskSubmission(id: id, try TaskSpecification(json: object))
    } catch let error as MessageError {
      throw APIProblem(error, in: place())
    } catch {
      throw APIProblem(.invalidTask, "\(error)")
    }
  }

  /// A page of another site can send a form, or plain text, without asking anybody; JSON it cannot.
  static func checkMediaType(_ request: APIRequest) throws(APIProblem) {
    let type = (request.contentType ?? "").split(separator: ";", maxSplits: 1).first ?? ""
    let isJSON = type.lowercased().split(separator: " ").joined() == "application/json"
    guard isJSON else {
      throw APIProblem(.mediaType, "send the body with Content-Type: application/json")
    }
  }
}
