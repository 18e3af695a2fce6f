import CoordinationCore

extension CoordinatorRuntime {
  /// One line for people on how it fares: why it is not ready, or how many workers and tasks there are.
  public var summary: String {
    if let problem = readinessProblem { return problem }
    let (tasks, levels) = (core.statistics.tasks, core.levels)
    let runs = tasks[.running] + tasks[.assigned]
    return "\(url): \(levels.workers[.connected, default: 0]) workers, \(runs) tasks run, \(tasks[.queued]) wait"
  }
}
