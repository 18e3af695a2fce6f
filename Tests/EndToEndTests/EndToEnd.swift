import Testing

/// Real programs, real sockets, a real store, and real faults. One after the other: a fleet is a dozen processes, and
/// what is measured here against leases and heartbeats must not be the machine's load.
@Suite(.serialized, .timeLimit(.minutes(10))) enum EndToEnd {}
