import CoordinationCore

/// The table `run_parts`: what clients want remembered about their runs.
final class RunRows {
  private let connection: SQLiteConnection
  private let write: SQLiteStatement
  private let read: SQLiteStatement
  private var text: [UInt8] = []

  init(_ connection: SQLiteConnection) throws(StoreError) {
    self.connection = connection
    write = try connection.prepare(
      """
      INSERT INTO run_parts (run, number, plan) VALUES (?1, ?2, ?3) ON CONFLICT (run, number) DO UPDATE SET plan = ?3
      """)
    read = try connection.prepare("SELECT plan FROM run_parts WHERE run = ?1 AND number = ?2")
  }

  func put(_ part: RunPart) throws(StoreError) {
    try write.bind(1, part.run)
    try write.bind(2, part.number)
    text.removeAll(keepingCapacity: true)
    JSONValue.object(part.plan).write(into: &text)
    try write.bind(3, text: text)
    try write.run()
  }

  func part(_ run: String, _ number: Int) throws(StoreError) -> RunPart? {
    defer { read.reset() }
    try read.bind(1, run)
    try read.bind(2, number)
    guard try read.step() else { return nil }
    let what = "part \(number) of run \(run)"
    guard let plan = try connection.json(read.bytes(0), what).object else {
      throw .corrupt(path: connection.path, reason: "\(what) is no object")
    }
    return RunPart(run: run, number: number, plan: plan)
  }
}
