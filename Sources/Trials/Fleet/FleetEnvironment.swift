import Reactor

/// The environment of fleets that a command starts for itself: they must be what its command line describes, so what the
/// user set up for another, by variables or a configuration file, stays out.
package enum FleetEnvironment {
  package static var variables: [String: String] {
    ProcessEnvironment.variables { !$0.hasPrefix("LIFELINE_") }.merging(["LIFELINE_CONFIG": "/dev/null"]) { $1 }
  }
}
