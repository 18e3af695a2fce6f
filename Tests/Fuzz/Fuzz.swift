import FuzzTargets
import Glibc

// Built by `make fuzz` only: `fuzz TARGET [libFuzzer's options and corpora]`.

typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

@_extern(c) private func LLVMFuzzerRunDriver(
  _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<Arguments>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Set before the first input.
private nonisolated(unsafe) var target: FuzzTarget?

/// Its name is what libFuzzer's runtime refers to, though the driver is given it as well.
@c(LLVMFuzzerTestOneInput) func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  do throws(Finding) {
    try target?.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
  } catch {
    print("\(target?.rawValue ?? ""): \(error)")
    fflush(nil)
    abort()
  }
  return 0
}

/// Its name is what SwiftPM makes of `main`.
@c(fuzz_main) func fuzzMain(_ count: CInt, _ arguments: Arguments) -> CInt {
  let name = count > 1 ? arguments[1].map { String(cString: $0) } : nil
  guard let name, let chosen = FuzzTarget(rawValue: name) else {
    let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
    print("usage: fuzz TARGET [libFuzzer's options and corpora]; the targets are \(names)")
    return 2
  }
  target = chosen
  // The target's name is not for libFuzzer.
  arguments[1] = arguments[0]
  var rest = arguments + 1
  var restCount = count - 1
  return LLVMFuzzerRunDriver(&restCount, &rest) { testOneInput($0, $1) }
}
