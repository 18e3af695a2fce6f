import CPostgreSQL

/// What one statement returned, in binary format; lives on its connection's loop.
@safe
public final class PostgresResult {
  // SAFETY: owned, cleared in `deinit`, never handed out.
  private let handle: OpaquePointer

  init(owning handle: OpaquePointer) { unsafe self.handle = unsafe handle }

  deinit { unsafe PQclear(handle) }

  public var count: Int { Int(unsafe PQntuples(handle)) }

  /// How many rows a statement changed.
  public var changedRows: Int {
    guard let text = unsafe PQcmdTuples(handle) else { return 0 }
    return Int(unsafe String(cString: text)) ?? 0
  }

  public func row(_ number: Int) -> Row {
    precondition(number >= 0 && number < count, "row \(number) of \(count)")
    return Row(result: self, number: Int32(number))
  }

  public struct Row {
    fileprivate let result: PostgresResult
    fileprivate let number: Int32

    public func isNull(_ column: Int) -> Bool { unsafe PQgetisnull(result.handle, number, Int32(column)) != 0 }

    /// NULL is 0; smaller integers are widened.
    public func int64(_ column: Int) -> Int64 { optionalInt64(column) ?? 0 }
    public func int(_ column: Int) -> Int { Int(int64(column)) }
    public func optionalInt(_ column: Int) -> Int? { optionalInt64(column).map { Int($0) } }

    public func optionalInt64(_ column: Int) -> Int64? {
      unsafe withBytes(column) { bytes in
        guard let first = unsafe bytes.first else { return 0 }
        var word: Int64 = first & 0x80 == 0 ? 0 : -1
        unsafe bytes.forEach { word = word << 8 | Int64($0) }
        return word
      }
    }

    public func bool(_ column: Int) -> Bool { int64(column) != 0 }

    public func optionalDouble(_ column: Int) -> Double? {
      optionalInt64(column).map { Double(bitPattern: UInt64(bitPattern: $0)) }
    }

    public func string(_ column: Int) -> String? {
      unsafe withBytes(column) { unsafe String(decoding: $0, as: UTF8.self) }
    }

    /// NULL is empty.
    public func bytes(_ column: Int) -> [UInt8] { unsafe withBytes(column) { unsafe Array($0) } ?? [] }

    private func withBytes<T>(_ column: Int, _ body: (UnsafeBufferPointer<UInt8>) -> T) -> T? {
      guard !isNull(column), let value = unsafe PQgetvalue(result.handle, number, Int32(column)) else { return nil }
      let count = Int(unsafe PQgetlength(result.handle, number, Int32(column)))
      // SAFETY: the value has that many bytes and lives as long as the result, which `self` holds.
      return unsafe value.withMemoryRebound(to: UInt8.self, capacity: count) {
        unsafe body(UnsafeBufferPointer(start: $0, count: count))
      }
    }
  }
}

@available(*, unavailable) extension PostgresResult: Sendable {}
