import CoordinationCore
import Primitives

let messageBenchmarks: [Benchmark] = [
  Benchmark("message decode, \(sealed.count) B", operations: 200_000, payloadBytes: sealed.count) { operations, meter in
    let bytes = sealed
    var sum = Checksum()
    meter.start()
    for _ in 0..<operations {
      let message = try Envelope.open(bytes, mode: .session)
      sum.add(message.fields.count)
    }
    meter.stop()
    return sum.value
  },
  Benchmark("message encode, \(sealed.count) B", operations: 200_000, payloadBytes: sealed.count) { operations, meter in
    let message = message
    var sum = Checksum()
    meter.start()
    for _ in 0..<operations {
      sum.add(Envelope.seal(message.body, sequence: 1_234, acknowledgement: 1_230).count)
    }
    meter.stop()
    return sum.value
  },
  // What one side does for each reliable message: number, keep and wrap it, and let it go when it is acknowledged.
  Benchmark("session send and acknowledge", operations: 400_000) { operations, meter in
    let body = message.body
    var session = SessionState(id: try SessionID("s"))
    var sum = Checksum()
    meter.start()
    for operation in 1...operations {
      let entry = session.outbox.append(body)
      sum.add(session.seal(entry.body, sequence: entry.sequence).count)
      // A peer acknowledges several at a time.
      if operation % 8 == 0 { sum.add(session.outbox.acknowledge(upTo: UInt64(operation)) ? 1 : 0) }
    }
    meter.stop()
    sum.add(session.outbox.count)
    return sum.value
  },
]

/// A result with a little output, as a command's end makes it.
private let message = Message(
  .taskResult,
  [
    "task_id": "3f9a61b27c08d54e9b1102fe77a4c8d0", "attempt": 1, "status": "completed", "exit_code": 0,
    "result": ["loss": 0.03125, "epochs": 12, "best": true],
    "stdout": "epoch 12 of 12\nloss 0.03125\nwrote model to out/model.bin\n", "stderr": "",
    "dropped_bytes": 0,
  ])

private let sealed = Envelope.seal(message.body, sequence: 1_234, acknowledgement: 1_230)
