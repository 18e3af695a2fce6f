import Testing

/// The program as its users meet it. One test at a time: each runs several processes, and waits for them on its thread.
/// Every single wait is bounded by `RunningProgram`.
@Suite(.serialized) enum LifelineTests {}
