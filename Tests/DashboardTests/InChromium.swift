import Testing

/// The dashboard in a real Chromium, over a real coordinator with real workers. One after the other: a browser is half a
/// dozen processes. Where there is no Chromium these tests say that they were skipped, and how to install it.
@Suite(.serialized, .timeLimit(.minutes(10)), .enabled(if: Chromium.program != nil, Chromium.howToInstall))
enum InChromium {}
