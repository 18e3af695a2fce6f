import CoordinationCore
import Primitives
import Testing

@testable import Trials

@Suite struct JournalTests {
  @Test func `a journal is counted by attempt`() throws {
    let text = "start a 1 0\nstep a 1 1\nstart a 2 1\ndone a 2 4\ndone a 2 4\nnonsense\n"
    let journal = TrialJournal(Array(text.utf8))
    let id = try TaskID("a")
    #expect(journal.starts[AttemptKey(id, 1)] == [0])
    #expect(journal.starts[AttemptKey(id, 2)] == [1])
    #expect(journal.dones[AttemptKey(id, 2)] == 2)
    #expect(journal.dones[AttemptKey(id, 1)] == nil)
    #expect(journal.malformed == ["nonsense"])
  }

  @Test func `a scenario is short when it must be quick`() {
    let all = [Scenarios.endToEnd] + Scenarios.list
    // What comes before and after each run takes its time as well; those that run on one store have 5 minutes together.
    for needs in [Set([ScenarioAbout.Needs.anyStore, .file]), [.anyStore, .ownServer, .severalCoordinators]] {
      let quick = all.filter { needs.contains($0.needs) }.map(\.quickDuration.inSeconds)
      #expect(quick.count > 10 && quick.reduce(0, +) < 200)
    }
  }
}
