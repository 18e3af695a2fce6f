import CoordinationCore

/// The part of JSON Schema that the API's document uses, strictly: a keyword that is not known here is a fault.
struct SchemaCheck {
  let document: JSONObject

  /// What is wrong with `value` by the schema with this name; empty when nothing is.
  func faults(_ value: JSONValue, _ name: String) -> [String] {
    faults(value, ["$ref": .string("#/components/schemas/\(name)")], at: name)
  }

  /// What a reference within the document names.
  func resolve(_ reference: String) -> JSONValue? {
    guard reference.hasPrefix("#/") else { return nil }
    var value = JSONValue.object(document)
    for part in reference.dropFirst(2).split(separator: "/") {
      let name = part.split(separator: "~1", omittingEmptySubsequences: false).joined(separator: "/")
      guard let next = value.object?[name] else { return nil }
      value = next
    }
    return value
  }

  func faults(_ value: JSONValue, _ schema: JSONObject, at place: String) -> [String] {
    var faults: [String] = []
    func fault(_ text: String) { faults.append("\(place): \(text)") }
    for (keyword, rule) in schema.members {
      switch keyword {
      case "description", "format", "default", "items", "required", "additionalProperties": break
      case "$ref":
        guard let target = rule.string.flatMap(resolve)?.object else {
          fault("unknown reference \(rule.text)")
          continue
        }
        faults += self.faults(value, target, at: place)
      case "type":
        let types = rule.array?.compactMap(\.string) ?? rule.string.map { [$0] } ?? []
        if !types.contains(where: { Self.isA($0, value) }) { fault("\(value.text.prefix(60)) is no \(types)") }
      case "enum": if rule.array?.contains(value) != true { fault("\(value.text) is not in \(rule.text)") }
      case "oneOf":
        let fitting = (rule.array ?? []).compactMap(\.object).count { self.faults(value, $0, at: place).isEmpty }
        if fitting != 1 { fault("fits \(fitting) of the schemas in oneOf") }
      case "minimum": if let number = value.number, number < rule.number ?? 0 { fault("\(number) is too small") }
      case "maximum": if let number = value.number, number > rule.number ?? 0 { fault("\(number) is too large") }
      case "exclusiveMinimum":
        if let number = value.number, number <= rule.number ?? 0 { fault("\(number) is too small") }
      case "minItems": if let array = value.array, array.count < rule.integer ?? 0 { fault("too few") }
      case "maxItems": if let array = value.array, array.count > rule.integer ?? 0 { fault("too many") }
      case "minLength": if let text = value.string, text.count < rule.integer ?? 0 { fault("too short") }
      case "maxLength": if let text = value.string, text.count > rule.integer ?? 0 { fault("too long") }
      case "pattern":
        if let text = value.string, let expression = rule.string.flatMap({ try? Regex($0) }),
          (try? expression.firstMatch(in: text)) == nil
        {
          fault("\(text) does not match \(rule.text)")
        }
      case "properties":
        guard let object = value.object else { continue }
        for (name, schema) in rule.object?.members ?? [] {
          guard let member = object[name], let schema = schema.object else { continue }
          faults += self.faults(member, schema, at: "\(place).\(name)")
        }
      default: fault("the keyword \(keyword) is not known to the check")
      }
    }
    if let array = value.array, let items = schema["items"]?.object {
      for (index, element) in array.enumerated() { faults += self.faults(element, items, at: "\(place)[\(index)]") }
    }
    if let object = value.object {
      for name in schema["required"]?.array?.compactMap(\.string) ?? [] where object[name] == nil {
        fault("\(name) is missing")
      }
      let known = Set(schema["properties"]?.object?.members.map(\.key) ?? [])
      for member in object.members where !known.contains(member.key) {
        if schema["additionalProperties"] == false { fault("\(member.key) is not known") }
        if let rest = schema["additionalProperties"]?.object {
          faults += self.faults(member.value, rest, at: "\(place).\(member.key)")
        }
      }
    }
    return faults
  }

  private static func isA(_ type: String, _ value: JSONValue) -> Bool {
    switch (type, value) {
    case ("null", .null), ("boolean", .bool), ("integer", .integer), ("number", .integer), ("number", .number),
      ("string", .string), ("array", .array), ("object", .object):
      true
    default: false
    }
  }
}
