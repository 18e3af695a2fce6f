/// What the demonstration of several coordinators has done: short commands that count and leave a checkpoint at each step.
enum ClusterTasks {
  static let all: [DemoTask] = (1...150).map { number in
    let digits = "\(number)"
    let id = "demo-" + String(repeating: "0", count: 3 - digits.count) + digits
    return DemoTask.counter(to: 24 + number % 4 * 4, id: id)
  }
}
