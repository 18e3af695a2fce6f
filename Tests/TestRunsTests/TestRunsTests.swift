import Testing

/// Runs of tests as values.
@Suite(.timeLimit(.minutes(5))) struct TestRunsTests {}
