import Primitives

/// What a coordinator says about how often its workers are to send heartbeats, in `registration_ack` and, when it changes,
/// in the answer to a heartbeat.
struct HeardPacing {
  let interval: Duration?
  let isPaced: Bool
  let fleet: Int?

  init(_ reader: FieldReader) throws(MessageError) {
    interval = try reader.optionalNumber("heartbeat_interval_s").map { .seconds(min(max($0, 0.01), 3_600)) }
    isPaced = try reader.optionalBool("paced") ?? false
    fleet = try reader.optionalInteger("fleet", in: 0...1_000_000_000)
  }
}
