/// A parameter of a statement, in PostgreSQL's binary format.
public struct SQLValue: Sendable {
  /// The type's number in the catalogue, which is the same in every server.
  package let type: UInt32
  /// `nil` is NULL.
  package let bytes: [UInt8]?

  package enum TypeNumber {
    static let bool: UInt32 = 16
    static let bytes: UInt32 = 17
    static let int64: UInt32 = 20
    static let text: UInt32 = 25
    static let double: UInt32 = 701
    static let bytesArray: UInt32 = 1001
    static let textArray: UInt32 = 1009
    static let int64Array: UInt32 = 1016
    static let doubleArray: UInt32 = 1022
  }

  init(type: UInt32, _ bytes: [UInt8]?) {
    self.type = type
    self.bytes = bytes
  }

  public static func int(_ value: Int64?) -> SQLValue { SQLValue(type: TypeNumber.int64, value?.bigEndianBytes) }
  public static func int(_ value: Int) -> SQLValue { int(Int64(value)) }
  public static func double(_ value: Double) -> SQLValue {
    SQLValue(type: TypeNumber.double, value.bitPattern.bigEndianBytes)
  }
  public static func bool(_ value: Bool) -> SQLValue { SQLValue(type: TypeNumber.bool, [value ? 1 : 0]) }
  /// A text must not have a NUL in it.
  public static func text(_ value: String?) -> SQLValue {
    SQLValue(type: TypeNumber.text, value.map { Array($0.utf8) })
  }
  public static func bytes(_ value: [UInt8]?) -> SQLValue { SQLValue(type: TypeNumber.bytes, value) }
}

/// An array as a parameter: one column of the rows that a statement is given, made value by value.
public struct SQLColumn: Sendable {
  public enum Element: Sendable {
    case int, double, text, bytes

    var type: UInt32 {
      switch self {
      case .int: SQLValue.TypeNumber.int64
      case .double: SQLValue.TypeNumber.double
      case .text: SQLValue.TypeNumber.text
      case .bytes: SQLValue.TypeNumber.bytes
      }
    }

    var arrayType: UInt32 {
      switch self {
      case .int: SQLValue.TypeNumber.int64Array
      case .double: SQLValue.TypeNumber.doubleArray
      case .text: SQLValue.TypeNumber.textArray
      case .bytes: SQLValue.TypeNumber.bytesArray
      }
    }
  }

  /// Dimensions, whether there are NULLs, the elements' type, then length and first index of the one dimension.
  private static let headBytes = 20
  private let element: Element
  private var bytes = [UInt8](repeating: 0, count: headBytes)
  public private(set) var count = 0
  private var hasNull = false

  public init(_ element: Element) { self.element = element }

  /// What it takes up so far.
  public var byteCount: Int { bytes.count }

  public mutating func appendNull() {
    count += 1
    hasNull = true
    append(length: -1)
  }

  public mutating func append(_ value: Int64?) {
    guard let value else { return appendNull() }
    append(word: UInt64(bitPattern: value))
  }

  public mutating func append(_ value: Int) { append(Int64(value)) }

  public mutating func append(_ value: Double?) {
    guard let value else { return appendNull() }
    append(word: value.bitPattern)
  }

  private mutating func append(word: UInt64) {
    count += 1
    append(length: 8)
    for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift))) }
  }

  public mutating func append(_ value: String?) {
    guard let value else { return appendNull() }
    count += 1
    append(length: value.utf8.count)
    bytes.append(contentsOf: value.utf8)
  }

  public mutating func append(_ value: [UInt8]?) {
    guard let value else { return appendNull() }
    append(value[...])
  }

  public mutating func append(_ value: ArraySlice<UInt8>) {
    count += 1
    append(length: value.count)
    bytes.append(contentsOf: value)
  }

  private mutating func append(length: Int) {
    // One by one: an array of four would be an allocation for each value.
    let word = UInt32(truncatingIfNeeded: length)
    for shift in stride(from: 24, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(shift))) }
  }

  public var value: SQLValue {
    var copy = bytes
    let head =
      UInt32(count == 0 ? 0 : 1).bigEndianBytes + UInt32(hasNull ? 1 : 0).bigEndianBytes + element.type.bigEndianBytes
    copy.replaceSubrange(..<head.count, with: head)
    if count == 0 { return SQLValue(type: element.arrayType, Array(copy.prefix(head.count))) }
    let dimension = UInt32(truncatingIfNeeded: count).bigEndianBytes + UInt32(1).bigEndianBytes
    copy.replaceSubrange(head.count..<Self.headBytes, with: dimension)
    return SQLValue(type: element.arrayType, copy)
  }
}

extension FixedWidthInteger {
  var bigEndianBytes: [UInt8] {
    stride(from: Self.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> Self($0)) }
  }
}
