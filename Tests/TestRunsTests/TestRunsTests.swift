import Testing

/// Runs of tests as values.
@Suite(.timeLimit(.minutes(1))) struct TestRunsTests {}
