// swift-tools-version: 6.2
import PackageDescription

// CI turns warnings into errors; a user's newer toolchain with a new warning still builds.
let warningsAreErrors = Context.environment["LIFELINE_WARNINGS_AS_ERRORS"] != nil

// `make fuzz` builds with coverage for libFuzzer, in a folder of its own.
let isFuzzing = Context.environment["LIFELINE_FUZZ"] != nil
let fuzzed: [SwiftSetting] = isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer,address", "-enable-testing"])] : []

let common: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
  ] + (warningsAreErrors ? [.treatAllWarnings(as: .error)] : []) + fuzzed

let checked = common + [.strictMemorySafety()]

func library(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], embedded: [String] = [],
  linker: [LinkerSetting] = []
) -> Target {
  .target(
    name: name, dependencies: dependencies, exclude: exclude, resources: embedded.map { .embedInCode($0) },
    swiftSettings: checked, linkerSettings: linker)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, swiftSettings: checked)
}

func example(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: "example-\(name)", dependencies: dependencies + ["ExampleSupport"], path: "Examples/\(name)",
    swiftSettings: common)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies + ["TestSupport"], swiftSettings: common)
}

let package = Package(
  name: "lifeline",
  products: [
    .library(name: "Reactor", targets: ["Reactor"]),
    .library(name: "WebSocketCore", targets: ["WebSocketCore"]),
    .library(name: "WebSocket", targets: ["WebSocket"]),
    .library(name: "Metrics", targets: ["Metrics"]),
    .library(name: "CoordinationCore", targets: ["CoordinationCore"]),
    .library(name: "Storage", targets: ["Storage"]),
    .library(name: "Coordination", targets: ["Coordination"]),
    .executable(name: "lifeline", targets: ["lifeline"]),
    .executable(name: "websocket-echo", targets: ["websocket-echo"]),
  ],
  targets: [
    // C libraries: a module map and one shim header each.
    .systemLibrary(name: "CLibEv", path: "CLibEv"),
    .systemLibrary(name: "CZlib"),
    .systemLibrary(name: "COpenSSL"),
    .systemLibrary(name: "CSQLite"),
    .systemLibrary(name: "CPostgreSQL"),

    // Values: no I/O, no clock, no randomness of their own.
    // The standard library's rounding and square roots call libm, which only `import Glibc` would otherwise link.
    library("Primitives", [], linker: [.linkedLibrary("m")]),
    library("WebSocketCore", ["Primitives", "COpenSSL", "CZlib"], exclude: ["README.md"]),
    library("CoordinationCore", ["Primitives", "Cryptography", "Authentication", "CZlib"]),

    // Counters, gauges and histograms that a loop owns, and the text that shows them.
    library("Metrics", ["Primitives"]),

    // OpenSSL's hashes, codes and keys as values; nothing else computes any.
    library("Cryptography", ["COpenSSL"]),
    library("Certificates", ["Primitives", "COpenSSL"]),

    // Who may come in: keys, proofs, roles.
    library("Authentication", ["Primitives", "Cryptography"], exclude: ["README.md"]),

    // One mutex, for the few places where threads meet; cores have none.
    library("Locking", []),

    // What happened to a fleet, and the rules it must have kept.
    library("History", ["Primitives", "CoordinationCore"]),

    // The same cores under a simulated clock, network, disk and fate.
    library("Simulation", ["Primitives", "Authentication", "CoordinationCore", "History"]),

    // The world: sockets, disks, processes.
    library("Reactor", ["Primitives", "Locking", "CLibEv", "COpenSSL"], exclude: ["README.md"]),
    library("WebSocket", ["Primitives", "Reactor", "WebSocketCore"], exclude: ["README.md"]),
    library(
      "Storage", ["Primitives", "Locking", "Cryptography", "CoordinationCore", "CSQLite", "CZlib"],
      exclude: ["README.md"]),
    library("PostgreSQL", ["Primitives", "Reactor", "CPostgreSQL", "COpenSSL"]),
    library(
      "PostgresStorage", ["Primitives", "Locking", "CoordinationCore", "Storage", "Reactor", "PostgreSQL"],
      exclude: ["README.md"]),
    library(
      "Coordination",
      [
        "Primitives", "Locking", "Cryptography", "Authentication", "Metrics", "Reactor", "WebSocket", "WebSocketCore",
        "CoordinationCore", "Storage", "History",
      ],
      exclude: ["README.md", "Dashboard/README.md"],
      embedded: ["API/openapi.json"]
        + [
          "dashboard.html", "dashboard.css", "basics.js", "connection.js", "detail.js", "list.js", "model.js",
          "page.js",
          "plots.js", "tasks.js", "words.js", "workers.js",
        ].map { "Dashboard/Page/\($0)" }),

    // Faults on purpose, for the demonstration and the tests.
    library("FaultProxy", ["Primitives", "Reactor", "ArgumentParsing"]),

    // Runs of real fleets that are broken on purpose and judged afterwards.
    library(
      "Trials",
      [
        "Primitives", "Reactor", "WebSocket", "CoordinationCore", "Coordination", "FaultProxy", "History", "Storage",
        "PostgreSQL", "PostgresStorage", "TrialReport",
      ],
      exclude: ["README.md"]),

    // What the programs share: their command lines, their terminal, their log.
    library("ArgumentParsing", ["Primitives"]),
    library("TOML", ["Primitives"]),
    // The configuration file, and manual pages and completion: all of it made of what the commands declare.
    library("Configuration", ["ArgumentParsing", "TOML"]),
    library("CommandDocuments", ["ArgumentParsing"]),
    library("Terminal", ["Primitives", "Locking"]),
    library("StructuredLog", ["Primitives", "Terminal"]),

    // Runs of tests as values: which command runs which tests, in which order, and what they found.
    library("TestRuns", ["Primitives", "CoordinationCore"]),

    // What a run with faults measured and found, for people and for programs.
    library("TrialReport", ["Primitives", "CoordinationCore", "Terminal"], exclude: ["README.md"]),

    program(
      "lifeline",
      [
        "Primitives", "Authentication", "ArgumentParsing", "Configuration", "CommandDocuments", "Terminal",
        "StructuredLog", "Reactor", "CoordinationCore", "Coordination", "Certificates", "TestRuns",
        "FaultProxy", "WebSocket", "Simulation", "Storage", "PostgresStorage", "History", "Trials", "TrialReport",
      ]),
    program("websocket-echo", ["ArgumentParsing", "Terminal", "Reactor", "WebSocket"]),

    // Programs to learn from; `Tests/ExamplesTests` runs each.
    .target(name: "ExampleSupport", path: "Examples/Support", swiftSettings: common),
    example("first-service", ["Reactor", "WebSocket"]),
    example("tcp-echo", ["Reactor"]),
    example("chat-room", ["Reactor", "WebSocket"]),
    example("websocket-client", ["Reactor", "WebSocket"]),
    example("supervisor", ["Reactor"]),
    example("timers-and-signals", ["Reactor"]),
    example("message-handler", ["Reactor", "Coordination", "CoordinationCore"]),

    // What the layers cost: `make bench`. Nothing here is part of a product.
    .target(name: "CAllocationCounter", path: "Benchmarks/CAllocationCounter"),
    .target(
      name: "LifelineBenchmarks",
      dependencies: [
        "Primitives", "Authentication", "Metrics", "Reactor", "WebSocketCore", "WebSocket", "CoordinationCore",
        "Storage", "Coordination", "Certificates", "Terminal",
      ],
      path: "Benchmarks/LifelineBenchmarks", swiftSettings: common),
    .executableTarget(
      name: "bench",
      dependencies: ["LifelineBenchmarks", "CAllocationCounter", "ArgumentParsing", "Terminal", "CoordinationCore"],
      path: "Benchmarks/bench", swiftSettings: common),

    // What a WebSocket server bears, beside others: `make bench-peers`.
    .systemLibrary(name: "CEpoll", path: "Benchmarks/CEpoll"),
    .target(
      name: "WebSocketLoad",
      dependencies: ["Primitives", "WebSocket", "CoordinationCore", "ArgumentParsing", "CEpoll", "CZlib"],
      path: "Benchmarks/WebSocketLoad", swiftSettings: common),
    .executableTarget(
      name: "ws-load", dependencies: ["WebSocketLoad", "ArgumentParsing", "Terminal", "CoordinationCore"],
      path: "Benchmarks/ws-load", swiftSettings: common),

    .target(
      name: "TestSupport", dependencies: ["Primitives", "Reactor", "FaultProxy", "Certificates"],
      path: "Tests/TestSupport",
      swiftSettings: common),
    tests("PrimitivesTests", ["Primitives"]),
    tests("MetricsTests", ["Primitives", "Metrics"]),
    tests("CryptographyTests", ["Cryptography"]),
    tests("CertificatesTests", ["Primitives", "Reactor", "Certificates"]),
    tests("AuthenticationTests", ["Primitives", "Cryptography", "Authentication"]),
    tests("ArgumentParsingTests", ["Primitives", "ArgumentParsing"]),
    tests("CommandDocumentsTests", ["ArgumentParsing", "CommandDocuments"]),
    tests("TOMLTests", ["TOML"]),
    tests("ConfigurationTests", ["ArgumentParsing", "TOML", "Configuration"]),
    tests("TerminalTests", ["Primitives", "Terminal"]),
    tests("StructuredLogTests", ["Primitives", "Terminal", "StructuredLog"]),
    tests("TestRunsTests", ["Primitives", "CoordinationCore", "TestRuns"]),
    tests("TrialReportTests", ["Primitives", "CoordinationCore", "Terminal", "TrialReport"]),
    tests("ReactorTests", ["Primitives", "Reactor", "Certificates"]),
    tests("WebSocketCoreTests", ["Primitives", "WebSocketCore"]),
    tests("WebSocketTests", ["Primitives", "Reactor", "WebSocket", "WebSocketCore", "Certificates"]),
    tests("CoordinationCoreTests", ["Primitives", "Cryptography", "Authentication", "CoordinationCore", "Simulation"]),
    tests("SimulationTests", ["Primitives", "CoordinationCore", "History", "Simulation"]),
    tests("HistoryTests", ["Primitives", "CoordinationCore", "History"]),
    tests(
      "StorageTests",
      ["Primitives", "Cryptography", "CoordinationCore", "Reactor", "Storage", "PostgresStorage", "CSQLite"]),
    tests("PostgreSQLTests", ["Primitives", "Reactor", "PostgreSQL"]),
    tests(
      "CoordinationTests",
      [
        "Primitives", "Reactor", "FaultProxy", "Locking", "Authentication", "WebSocket", "WebSocketCore",
        "CoordinationCore", "Storage", "Coordination",
      ]),
    tests(
      "TrialsTests",
      [
        "Primitives", "Reactor", "CoordinationCore", "History", "Storage", "TrialReport", "Trials", "CSQLite",
        "lifeline",
      ]),
    tests("FaultProxyTests", ["Primitives", "Reactor", "FaultProxy"]),
    tests("LifelineTests", ["Reactor", "CoordinationCore", "Certificates", "lifeline"]),
    tests(
      "EndToEndTests",
      [
        "Primitives", "Cryptography", "Authentication", "Reactor", "WebSocket", "WebSocketCore", "CoordinationCore",
        "Coordination", "Storage", "TestRuns", "FaultProxy", "lifeline",
      ]),
    tests(
      "DashboardTests",
      [
        "Primitives", "Cryptography", "Reactor", "WebSocket", "WebSocketCore", "CoordinationCore", "Coordination",
        "lifeline",
      ]),
    tests(
      "ExamplesTests",
      [
        "Reactor", "WebSocket", "Coordination", "CoordinationCore", "example-first-service", "example-tcp-echo",
        "example-chat-room",
        "example-websocket-client", "example-supervisor", "example-timers-and-signals", "example-message-handler",
      ]),
    tests("LifelineBenchmarksTests", ["LifelineBenchmarks", "bench", "CoordinationCore", "Reactor"]),
    tests(
      "WebSocketLoadTests",
      [
        "Primitives", "ArgumentParsing", "Reactor", "WebSocket", "CoordinationCore", "WebSocketLoad", "ws-load",
        "websocket-echo",
      ]),
  ]
)

// What the fuzzer runs is what FuzzTests replays, so it is the same sources: a library of its own only for the fuzzer,
// whose `main` is libFuzzer's.
if isFuzzing {
  package.targets += [
    .target(
      name: "FuzzTargets", dependencies: ["Primitives", "WebSocketCore", "TOML", "CZlib"],
      path: "Tests/FuzzTests/Targets", swiftSettings: common),
    .executableTarget(
      name: "fuzz", dependencies: ["FuzzTargets"], path: "Tests/Fuzz",
      exclude: ["README.md", "request.dict", "response.dict", "deflate.dict", "toml.dict"],
      swiftSettings: common + [.unsafeFlags(["-parse-as-library", "-enable-experimental-feature", "Extern"])],
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address"])]),
  ]
} else {
  package.targets.append(tests("FuzzTests", ["Primitives", "WebSocketCore", "TOML", "CZlib"]))
}

// Scripts/sanitized-tests.sh compiles everything anew, and runs the tests of a few modules only.
if let wanted = Context.environment["LIFELINE_TESTS"]?.split(separator: " ") {
  package.targets.removeAll { target in target.type == .test && !wanted.contains { $0 == target.name } }
}
