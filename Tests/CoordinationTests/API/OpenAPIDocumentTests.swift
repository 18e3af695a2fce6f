import CoordinationCore
import Testing

@testable import Coordination

/// The document that describes the API, against the program that is the API.
@Suite struct OpenAPIDocumentTests {
  static let document: JSONObject = {
    (try? JSONParser.parse(PackageResources.openapi_json))?.object ?? JSONObject()
  }()

  private var operations: [(path: String, method: String, operation: JSONObject)] {
    (Self.document["paths"]?.object?.members ?? []).flatMap { path, item in
      (item.object?.members ?? []).map { (path: path, method: $0.key, operation: $0.value.object ?? JSONObject()) }
    }
  }

  @Test func `it is OpenAPI 3.1`() {
    #expect(Self.document["openapi"]?.string == "3.1.0")
    #expect(Self.document["info"]?.object?["title"]?.string?.isEmpty == false)
    #expect(Self.document["info"]?.object?["version"]?.string?.isEmpty == false)
  }

  @Test func `each operation of the router is in the document, and each of the document is in the router`() {
    let described = operations.map { "\($0.method) \($0.path) \($0.operation["operationId"]?.string ?? "?")" }
    let served = APIOperation.allCases.map {
      "\($0.method.rawValue) \(APIOperation.prefix)\($0.template) \($0.rawValue)"
    }
    #expect(Set(described) == Set(served))
    #expect(described.count == served.count)
  }

  @Test func `each operation's parameters are those that it reads`() throws {
    let check = SchemaCheck(document: Self.document)
    for (path, method, operation) in operations {
      let name = try #require(operation["operationId"]?.string.flatMap(APIOperation.init(rawValue:)))
      let parameters = try (operation["parameters"]?.array ?? []).map { parameter in
        try #require(parameter.object?["$ref"]?.string.flatMap(check.resolve)?.object)
      }
      func named(_ place: String) -> Set<String> {
        Set(parameters.filter { $0["in"]?.string == place }.compactMap { $0["name"]?.string })
      }
      #expect(named("query") == Set(name.parameters), "\(method) \(path)")
      let inPath = name.template.split(separator: "/").filter { $0.hasPrefix("{") }.map {
        String($0.dropFirst().dropLast())
      }
      #expect(named("path") == Set(inPath), "\(method) \(path)")
    }
  }

  @Test func `each operation says how it answers those who may not ask, and whoever asks too much`() {
    for (path, method, operation) in operations {
      let statuses = Set((operation["responses"]?.object?.members ?? []).map(\.key))
      #expect(statuses.isSuperset(of: ["400", "401", "403", "405", "429", "503"]), "\(method) \(path)")
      #expect(statuses.contains { $0.hasPrefix("2") }, "\(method) \(path)")
    }
  }

  @Test func `every reference leads somewhere`() {
    let check = SchemaCheck(document: Self.document)
    var references = 0
    func look(_ value: JSONValue) {
      if let reference = value.object?["$ref"]?.string {
        references += 1
        #expect(check.resolve(reference) != nil, "\(reference)")
      }
      for member in value.object?.members ?? [] { look(member.value) }
      for element in value.array ?? [] { look(element) }
    }
    look(.object(Self.document))
    #expect(references > 100)
  }

  @Test func `the members of a specification are those that one may have`() throws {
    let schema = try #require(SchemaCheck(document: Self.document).resolve("#/components/schemas/TaskSpecification"))
    let described = Set(schema.object?["properties"]?.object?.members.map(\.key) ?? [])
    do {
      _ = try TaskSpecification(json: ["nonsense": 1])
      Issue.record("an unknown member was taken")
    } catch {
      guard case .unknownField(_, let allowed) = error else { throw error }
      #expect(described.isSubset(of: allowed))
      #expect(Set(allowed).subtracting(described).isDisjoint(with: ["command", "name", "priority", "run"]))
    }
  }

  @Test(arguments: [
    #"{"waiting": 1}"#, #"{"waiting": -1, "oldest_s": null}"#, #"{"waiting": 1.5, "oldest_s": 1}"#,
    #"{"waiting": 1, "oldest_s": "1"}"#, #"{"waiting": 1, "oldest_s": 1, "more": 1}"#, "[]",
  ]) func `the check of answers finds what does not conform`(text: String) throws {
    let check = SchemaCheck(document: Self.document)
    #expect(!check.faults(try JSONParser.parse(text), "QueueLevel").isEmpty)
    #expect(check.faults(["waiting": 1, "oldest_s": 0.5], "QueueLevel").isEmpty)
  }
}
