/// What a message is about: the value of its `type` member.
public struct MessageKind: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let name: String

  public init(_ name: String) { self.name = name }
  public init(stringLiteral value: String) { name = value }

  public var description: String { name }

  // Worker to coordinator.
  public static let registration: MessageKind = "registration"
  public static let stateSync: MessageKind = "state_sync"
  public static let taskState: MessageKind = "task_state"
  public static let taskResult: MessageKind = "task_result"
  public static let taskCancelled: MessageKind = "task_cancelled"
  public static let taskPaused: MessageKind = "task_paused"
  public static let taskResumed: MessageKind = "task_resumed"
  public static let taskOutput: MessageKind = "task_output"
  public static let checkpoint: MessageKind = "checkpoint"
  public static let checkpointData: MessageKind = "checkpoint_data"
  public static let checkpointError: MessageKind = "checkpoint_error"
  public static let stateError: MessageKind = "state_error"
  public static let telemetry: MessageKind = "telemetry"
  public static let goodbye: MessageKind = "goodbye"

  // Coordinator to worker.
  public static let welcome: MessageKind = "welcome"
  public static let registrationAck: MessageKind = "registration_ack"
  public static let stateSyncAck: MessageKind = "state_sync_ack"
  public static let taskAssignment: MessageKind = "task_assignment"
  public static let checkpointRequest: MessageKind = "checkpoint_request"
  public static let stateRequest: MessageKind = "state_request"
  public static let telemetryRequest: MessageKind = "telemetry_request"
  /// Asks a worker to leave as it does after SIGTERM. One that does not know it goes on, and is given nothing more.
  public static let drain: MessageKind = "drain"
  public static let cancelTask: MessageKind = "cancel_task"
  public static let pauseTask: MessageKind = "pause_task"
  public static let resumeTask: MessageKind = "resume_task"
  public static let taskResultAck: MessageKind = "task_result_ack"
  public static let taskStateAck: MessageKind = "task_state_ack"
  public static let checkpointAck: MessageKind = "checkpoint_ack"
  public static let checkpointDataAck: MessageKind = "checkpoint_data_ack"

  // Either way.
  public static let heartbeat: MessageKind = "heartbeat"
  public static let error: MessageKind = "error"
  /// A cumulative acknowledgement with nothing to ride on.
  public static let ack: MessageKind = "ack"
}

/// One message, taken out of its envelope.
public struct Message: Equatable, Sendable {
  public let kind: MessageKind
  /// Everything but `type`, `seq`, `ack` and `crc`.
  public var fields: JSONObject
  /// The message's number in its session; `nil` when it is not a reliable one.
  public var sequence: UInt64?
  /// The peer has handled, and made durable, our messages up to this number.
  public var acknowledgement: UInt64?

  public init(_ kind: MessageKind, _ fields: JSONObject = [:], sequence: UInt64? = nil, acknowledgement: UInt64? = nil)
  {
    self.kind = kind
    self.fields = fields
    self.sequence = sequence
    self.acknowledgement = acknowledgement
  }

  public var reader: FieldReader { FieldReader(fields) }

  /// `{"type": …, fields…}` without an envelope: what an outbox keeps, and what a legacy peer is sent.
  public var body: [UInt8] {
    var object = JSONObject()
    object.reserveCapacity(fields.count + 1)
    object.append("type", .string(kind.name))
    for member in fields.members where !Envelope.isReserved(member.key) {
      object.append(member.key, member.value)
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(256)
    object.write(into: &bytes)
    return bytes
  }
}

/// Which of the two protocols a connection speaks.
public enum ConnectionMode: String, Sendable {
  /// Subprotocol `lifeline.v1`: numbered, acknowledged, replayed, checksummed.
  case session
  /// The reference's messages, exactly.
  case legacy
}

/// The names under which the two protocols and the client commands are reached.
public enum Protocols {
  public static let session = "lifeline.v1"
  public static let client = "lifeline.client.v1"
  /// The path of client commands; workers connect to `/api/v1/worker/{worker_id}/ws`.
  public static let clientPath = "/api/v1/client/ws"
  public static let workerPathPrefix = "/api/v1/worker/"
  public static let workerPathSuffix = "/ws"
  public static let defaultPort: UInt16 = 8765
  /// The largest message either side accepts, in bytes.
  public static let maxMessageBytes = 1 << 20
}

/// Close codes of our own (RFC 6455 §7.4.2 gives 4000–4999 to applications).
public enum SessionCloseCode {
  /// Another connection of this worker took the session over.
  public static let takenOver: UInt16 = 4001
  /// Nothing was heard for the heartbeat timeout.
  public static let silent: UInt16 = 4002
  /// The peer broke the session's rules; what it said is replayed over a new connection.
  public static let brokenSession: UInt16 = 4003
  /// Another live worker uses this id.
  public static let workerIDInUse: UInt16 = 4004
  /// The coordinator or worker is shutting down.
  public static let shuttingDown: UInt16 = 4005
}
