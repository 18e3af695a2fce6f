import CoordinationCore
import Testing

@testable import Coordination

@Suite struct APIRouteTests {
  @Test(arguments: APIOperation.allCases) func `each operation is found at its path, by its method`(
    operation: APIOperation
  ) {
    let path =
      APIOperation.prefix
      + operation.template.split(separator: "/").map { $0.hasPrefix("{") ? "/x.1" : "/\($0)" }.joined()
    let names = operation.template.split(separator: "/").filter { $0.hasPrefix("{") }.map { _ in "x.1" }
    let method = operation.method.rawValue.uppercased()
    #expect(APIRoute(method: method, path: path) == .operation(operation, names))
    if method == "GET" { #expect(APIRoute(method: "HEAD", path: path) == .operation(operation, names)) }
    for other in ["PUT", "PATCH", "DELETE", "OPTIONS"] {
      guard case .otherMethods(let allowed) = APIRoute(method: other, path: path) else {
        Issue.record("\(other) \(path)")
        continue
      }
      #expect(allowed.contains(method))
    }
  }

  @Test func `a path that takes several methods names all of them`() {
    #expect(APIRoute(method: "DELETE", path: "/api/v1/tasks") == .otherMethods(["POST", "GET", "HEAD"]))
    #expect(APIRoute(method: "GET", path: "/api/v1/tasks/a/cancel") == .otherMethods(["POST"]))
  }

  @Test func `names are percent-decoded`() {
    let route = APIRoute(method: "GET", path: "/api/v1/tasks/%7Ba%7d%3A1")
    #expect(route == .operation(.getTask, ["{a}:1"]))
  }

  @Test(arguments: [
    "/api/v1", "/api/v1/", "/api/v1/task", "/api/v1/tasks/", "/api/v1//tasks", "/api/v1/tasks/a/",
    "/api/v1/tasks//result",
    "/api/v1/tasks/a/cancel/b", "/api/v1/tasks/%ZZ", "/api/v1/tasks/%ff", "/api/v1/Tasks", "/api/v2/tasks",
    "/api/v1x/tasks",
    "/tasks", "", "/",
  ]) func `what is no path of the API is none`(path: String) {
    #expect(APIRoute(method: "GET", path: path) == .unknown)
  }
}
