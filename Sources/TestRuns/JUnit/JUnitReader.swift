/// Reads JUnit's XML as the many programs write it that do, and makes nothing of what it does not know.
package enum JUnitReader {
  package enum Problem: Error, Equatable, CustomStringConvertible {
    case xml(XMLError)
    case otherRoot(String)

    package var description: String {
      switch self {
      case .xml(let error): "\(error)"
      case .otherRoot(let name): "it is about <\(name)>, and not about <testsuites> or <testsuite>"
      }
    }
  }

  package static func read(
    _ bytes: [UInt8], limits: XMLReader.Limits = XMLReader.Limits()
  ) throws(Problem) -> JUnitReport {
    let root: XMLElement
    do { root = try XMLReader.read(bytes, limits: limits) } catch { throw .xml(error) }
    guard root.name == "testsuites" || root.name == "testsuite" else { throw .otherRoot(root.name) }
    var report = JUnitReport(name: root["name"] ?? "")
    collect(root, into: &report)
    return report
  }

  /// Suites may hold suites; the reader of the XML has bounded how deep.
  private static func collect(_ element: XMLElement, into report: inout JUnitReport) {
    if element.name == "testsuite" {
      var suite = JUnitSuite(element["name"] ?? "")
      for child in element.children {
        switch child.name {
        case "testcase": suite.cases.append(testCase(child))
        case "system-out": suite.output += child.text
        case "system-err": suite.errors += child.text
        case "properties":
          for property in child.children where property["name"] == JUnitWriter.testProperty {
            if let test = property["value"] { suite.tests.append(test) }
          }
        default: break
        }
      }
      if !suite.cases.isEmpty || !suite.tests.isEmpty { report.suites.append(suite) }
    }
    for child in element.children where child.name == "testsuite" { collect(child, into: &report) }
  }

  private static func testCase(_ element: XMLElement) -> JUnitCase {
    var found = JUnitCase(element["name"] ?? "", className: element["classname"] ?? "")
    found.file = element["file"]
    found.seconds = element["time"].flatMap(seconds)
    for child in element.children {
      switch child.name {
      case "failure": found.outcome = .failed(problem(child))
      case "error": if !found.outcome.isBad { found.outcome = .error(problem(child)) }
      case "skipped": if found.outcome == .passed { found.outcome = .skipped(child["message"] ?? child.text) }
      case "system-out": found.output += child.text
      case "system-err": found.errors += child.text
      default: break
      }
    }
    return found
  }

  private static func problem(_ element: XMLElement) -> JUnitCase.Problem {
    JUnitCase.Problem(element["message"] ?? "", type: element["type"] ?? "", text: element.text)
  }

  /// Some write thousands apart: `1,234.5`.
  private static func seconds(_ text: String) -> Double? {
    guard let value = Double(text.filter { $0 != "," }), value.isFinite, value >= 0, value < 1e9 else { return nil }
    return value
  }
}
