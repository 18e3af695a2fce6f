extension Seeds {
  /// Files with one of everything, good and bad.
  static let files: [String: [UInt8]] = [
    "file": #"""
    # A machine's file.
    [coordinator]
    port = 8_765
    heartbeat-timeout = "15s"
    compression = false

    [worker]
    slots = 4
    label = { gpu = "1" }
    """#,
    "texts": ##"""
    a = "b\t\u00E9\U0001F642"
    'c d' = 'C:\new'
    e = """
    one \
      two"""""
    f = '''g''''
    """##,
    "numbers": "a = [0, +1, -9_223, 0xFF, 0o7, 0b1, 1.5, -2e-3, inf, nan, true]\n",
    "tables": "[a.b.\"c d\"]\ne.f = 1\ne.g = 2\n[[h]]\n[h.i]\n[[h]]\n[a]\nj = { k = [{ l = {} }] }\n",
    "lists": "a = [ # one\n  1, [],\n\n  [[\"x\"], {b = 1}],\n]\n",
    "mistakes": "[a\nb 1\nc = d\ne = 010\nf = [1\n 2]\ng = 2026-01-01\nh = 1\nh = 2\n[i]\n[i]\n",
    "dos": "\u{FEFF}[a]\r\nb = '''c\r\nd'''\r\n", "unclosed": "a = [1,\n{b = \"c", "empty": "",
  ].mapValues { FuzzInput.bytes(Array($0.utf8)) }
}
