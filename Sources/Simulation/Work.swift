import CoordinationCore

/// A task of `units` steps, each with a checkpoint; its first `failing` attempts end with exit status 3.
func work(
  units: Int = 5, unit: Int64 = 200, failing: Int = 0, retries: Int = 0, maxLost: Int = 10,
  priority: TaskPriority = .normal
) -> TaskSpecification {
  TaskSpecification(
    name: "work",
    work: .custom(
      kind: "work",
      input: ["units": .integer(Int64(units)), "unit_ms": .integer(unit), "failing": .integer(Int64(failing))]),
    priority: priority, retries: retries, maxLostAttempts: maxLost)
}
