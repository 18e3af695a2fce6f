import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension InChromium {
  /// What an operator sees and does.
  @Suite struct DashboardUseTests {
    /// What finds a row of a list by its name.
    static func row(_ list: String, _ name: String) -> String {
      """
      [...document.querySelectorAll('#\(list)-list tbody tr')].find(row => (row.querySelector('.open > span:last-child') \
      ?? row.querySelector('.open')).textContent.trim() === \(BrowserPage.quoted(name)))
      """
    }

    /// True once a worker is shown as gone: away for as long as it has something to come back to, then lost.
    static func isGone(_ worker: String) -> String {
      "['away', 'lost'].includes(\(row("worker", worker))?.querySelector('.state').textContent.trim())"
    }

    static let isLive = "document.querySelector('#link').dataset.link === 'live'"

    /// What the overview shows under a name.
    static func figure(_ name: String) -> String {
      "[...document.querySelectorAll('.figure')].find(figure => figure.querySelector('dt').textContent === '\(name)')"
        + ".querySelector('.value').innerText.trim()"
    }

    static func opened(_ fleet: DashboardFleet, in browser: Chromium, width: Int = 1_280, height: Int = 900) throws
      -> BrowserPage
    {
      let page = try browser.page(width: width, height: height)
      page.fleet = fleet
      try page.prefer(theme: "light")
      try page.open(fleet.page)
      try page.wait(for: "connection", isLive)
      return page
    }

    @Test func `a fleet is seen at work, and a worker that drops and returns`() throws {
      let fleet = try DashboardFleet()
      try fleet.gate("end")
      let worker = try fleet.worker("alpha")
      try fleet.worker("beta")
      let page = try Self.opened(fleet, in: Chromium())
      try page.wait(for: "both workers", "\(Self.figure("Workers")) === '2 of 2'")
      let id = try fleet.submit("read -r _ < \"$DASHBOARD_FLEET/end\"", run: "seen", name: "a long one")
      try page.wait(for: "its task", "\(Self.row("task", "a long one"))?.innerText.includes('running')")
      try page.wait(for: "running tasks", "\(Self.figure("Running")).startsWith('1 of 4')")

      // Whichever runs it, the other one drops: only a row of the list is to change.
      try worker.kill()
      try page.wait(for: "absence", Self.isGone("alpha"))
      try page.wait(for: "one of two", "\(Self.figure("Workers")) === '1 of 2'")
      try page.wait(
        for: "the low line of an absence", "\(Self.row("worker", "alpha")).querySelector('.off').getAttribute('d')")
      try page.wait(
        for: "news for screen readers", "document.querySelector('#announcer').textContent.includes('alpha')")

      try fleet.worker("alpha")
      try page.wait(
        for: "return", "\(Self.row("worker", "alpha"))?.querySelector('.state').textContent.trim() === 'connected'")
      try page.wait(for: "both again", "\(Self.figure("Workers")) === '2 of 2'")
      let strip = "\(Self.row("worker", "alpha")).querySelector('.strip').getAttribute('aria-label')"
      try page.wait(for: "what the strip says", "\(strip).startsWith('away once, ')")
      try page.wait(
        for: "round trip", "/\\d (ms|s)/.test(\(Self.row("worker", "beta")).children[3].textContent)")

      // Once for the attempt that may have been lost with its worker, once for the one that runs.
      fleet.open("end")
      fleet.open("end")
      try page.wait(for: "its end", "\(Self.row("task", "a long one"))?.innerText.includes('completed')")
      #expect(id == "seen-0001")
      #expect(page.problems.isEmpty, "\(page.problems)")
    }

    @Test func `a task is cancelled by keyboard alone, and its name stays text`() throws {
      let fleet = try DashboardFleet()
      let name = "<img src=x onerror=\"document.title='taken over'\"> <b>bold</b>"
      _ = try fleet.submit("sleep 600", run: "waits", name: name)
      let page = try Self.opened(fleet, in: Chromium())
      try page.wait(for: "the task", Self.row("task", name))
      #expect(try page.evaluate("document.querySelectorAll('main img, main b b, #task-list b').length") == 0)

      // From the search into the list, into the task, to its button, through the question.
      try page.press(.slash)
      try page.wait(for: "search", "document.activeElement.id === 'task-text'")
      try page.type("onerror=")
      try page.wait(for: "one task", "document.querySelectorAll('#task-list tbody tr').length === 1")
      try Self.tab(page, to: "document.activeElement.closest('#task-list')")
      try page.press(.enter)
      try page.wait(for: "the task by itself", "document.querySelector('#detail h2')?.textContent.includes('<img')")
      try page.wait(for: "its orders", "document.querySelector('#detail .danger')")
      try Self.tab(page, to: "document.activeElement.textContent === 'Cancel task'")
      try page.press(.enter)
      try page.wait(for: "the question", "document.querySelector('#confirm').open")
      // Enter at once does nothing: the focus begins on the safe answer.
      #expect(try page.evaluate("document.activeElement.textContent") == "Let it run")
      #expect(try page.text("#confirm-text").contains("<img src=x"))
      try page.press(.enter)
      try page.wait(for: "no question", "!document.querySelector('#confirm').open")
      #expect(try page.evaluate("document.activeElement.textContent") == "Cancel task")
      try page.press(.enter)
      try page.wait(for: "the question again", "document.querySelector('#confirm').open")
      try Self.tab(page, to: "document.activeElement.id === 'confirm-yes'")
      try page.press(.enter)
      try page.wait(for: "the end", "document.querySelector('#detail .facts').innerText.includes('cancelled')")
      try page.press(.escape)
      try page.wait(for: "no task", "document.querySelector('#detail').hidden")
      #expect(try page.evaluate("document.activeElement.closest('#task-list') !== null") == true)
      #expect(try fleet.run(["tasks"]).contains("cancelled"))
      #expect(try page.evaluate("document.title.includes('taken over')") == false)
      #expect(page.problems.isEmpty, "\(page.problems)")
    }

    /// Presses Tab until the focus is where the expression is true; within a bound, or the way does not exist.
    static func tab(_ page: BrowserPage, to place: String) throws {
      for _ in 0..<40 {
        try page.press(.tab)
        if try page.evaluate("Boolean(\(place))") == true { return }
      }
      throw TimedOut("forty times Tab did not lead to \(place)")
    }

    @Test func `a task is paused, resumed, and retried when it has ended`() throws {
      let fleet = try DashboardFleet()
      try fleet.gate("end")
      try fleet.worker("alpha")
      _ = try fleet.submit("read -r _ < \"$DASHBOARD_FLEET/end\"; exit 3", run: "orders", name: "obedient")
      let page = try Self.opened(fleet, in: Chromium())
      try page.wait(for: "the task", "\(Self.row("task", "obedient"))?.innerText.includes('running')")
      _ = try page.evaluate("\(Self.row("task", "obedient")).querySelector('.open').click()")
      func order(_ name: String, thenSays state: String) throws {
        let button =
          "[...document.querySelectorAll('#detail .buttons button')].find(one => one.textContent === '\(name)')"
        try page.wait(for: name, button)
        _ = try page.evaluate("\(button).click()")
        try page.wait(for: state, "document.querySelector('#detail .facts').innerText.includes('\(state)')")
      }
      try order("Pause", thenSays: "paused")
      try order("Resume", thenSays: "running")
      fleet.open("end")
      try page.wait(for: "its failure", "document.querySelector('#detail .facts').innerText.includes('failed')")
      try page.wait(for: "failures", "\(Self.figure("Failed")) === '1'")
      try page.wait(
        for: "why", "document.querySelector('#detail [aria-label=Attempts]').innerText.includes('exit code 3')")
      try order("Retry", thenSays: "running")
      #expect(try page.text("#detail .id") == "orders-0001.2")
      fleet.open("end")
      #expect(page.problems.isEmpty, "\(page.problems)")
    }

    @Test func `a worker is drained once the question was answered`() throws {
      let fleet = try DashboardFleet()
      let worker = try fleet.worker("leaving")
      let page = try Self.opened(fleet, in: Chromium())
      try page.wait(for: "the worker", Self.row("worker", "leaving"))
      _ = try page.evaluate("\(Self.row("worker", "leaving")).querySelector('td:last-child button').click()")
      try page.wait(for: "the question", "document.querySelector('#confirm').open")
      #expect(try page.text("#confirm-title") == "Drain leaving?")
      try page.click("#confirm-yes")
      try page.wait(for: "word of it", "document.querySelector('#toasts').innerText.includes('takes nothing more')")
      #expect(try worker.exit(limit: .seconds(60)) == .exited(0))
      try page.wait(
        for: "its absence",
        "\(Self.row("worker", "leaving"))?.querySelector('.state').textContent.trim() !== 'connected'")
      #expect(page.problems.isEmpty, "\(page.problems)")
    }

    @Test func `a task's output is followed as it is written, beside its attempts and checkpoints`() throws {
      let fleet = try DashboardFleet()
      try fleet.gate("more")
      try fleet.worker("alpha")
      let script = """
        echo first line; echo complaint >&2; echo '{"checkpoint": {"done": 7}}' >&"$LIFELINE_CONTROL_FD"
        read -r _ < "$DASHBOARD_FLEET/more"; echo second line; read -r _ < "$DASHBOARD_FLEET/more"
        """
      _ = try fleet.submit(script, run: "talks", name: "talker")
      let page = try Self.opened(fleet, in: Chromium())
      try page.wait(for: "the task", "\(Self.row("task", "talker"))?.innerText.includes('running')")
      _ = try page.evaluate("\(Self.row("task", "talker")).querySelector('.open').click()")
      try page.wait(for: "its output", "document.querySelector('#detail .log').textContent === 'first line\\n'")
      try page.wait(for: "its checkpoint", "document.querySelector('#detail').innerText.includes('{\"done\":7}')")
      try page.wait(
        for: "its attempt", "document.querySelector('#detail [aria-label=Attempts] tbody').innerText.includes('alpha')")
      fleet.open("more")
      try page.wait(for: "more output", "document.querySelector('#detail .log').textContent.endsWith('second line\\n')")
      let stderr = "[...document.querySelectorAll('.logs-bar button')].find(chip => chip.textContent === 'stderr')"
      _ = try page.evaluate("\(stderr).click()")
      try page.wait(for: "the other stream", "document.querySelector('#detail .log').textContent === 'complaint\\n'")
      fleet.open("more")
      try page.wait(for: "the end", "document.querySelector('.logs-bar').innerText.includes('to its end')")
      // The page says by its address what it shows.
      #expect(try page.evaluate("location.hash") == "#task=talks-0001")
      #expect(page.problems.isEmpty, "\(page.problems)")
    }

    @Test func `a coordinator that goes away is said to be gone, and what it knows is loaded anew when it is back`()
      throws
    {
      let fleet = try DashboardFleet()
      _ = try fleet.submit("true", run: "before", name: "before")
      let page = try Self.opened(fleet, in: Chromium())
      try page.wait(for: "the task", Self.row("task", "before"))
      try fleet.killCoordinator()
      try page.wait(for: "word of it", "document.querySelector('#link').innerText.startsWith('Connection lost')")
      try page.wait(
        for: "the reason", "document.querySelector('#notice').innerText.startsWith('What you see is from before')")
      try fleet.restartCoordinator()
      _ = try fleet.submit("true", run: "after", name: "after")
      try page.wait(for: "the new task", Self.row("task", "after"))
      try page.wait(for: "the connection", Self.isLive)
      #expect(try page.evaluate("document.querySelector('#notice').hidden") == true)
      #expect(try page.evaluate("document.querySelector('#announcer').textContent") == "Connected again")
      // What Chromium itself says about requests that found nobody is no fault of the page's.
      let faults = page.problems.filter { !$0.contains("net::ERR_") }
      #expect(faults.isEmpty, "\(faults)")
    }

    @Test func `where keys are needed the page asks for one, and says what a key may not`() throws {
      let keys = TemporaryDirectory()
      func key(_ role: String) throws -> String {
        let process = try TestProcess(
          DashboardFleet.program, ["keys", "add", role, "--role", role, "--keys", keys.file("keys")])
        #expect(try process.exit() == .exited(0), "\(process.errors.all)")
        return process.output.all.joined()
      }
      let (reading, submitting) = (try key("read-only"), try key("submitter"))
      let fleet = try DashboardFleet(["--keys", keys.file("keys")])
      _ = try fleet.submit("sleep 600", run: "kept", name: "kept", options: ["--api-key", submitting])
      let page = try Chromium().page()
      page.fleet = fleet
      try page.open(fleet.page)
      try page.wait(for: "the question", "document.querySelector('#key').open")
      #expect(try page.evaluate("document.activeElement.id") == "key-input")
      #expect(try page.evaluate("document.querySelectorAll('#task-list tbody tr').length") == 0)

      try page.type("no-such-key")
      try page.press(.enter)
      try page.wait(for: "refusal", "document.querySelector('#key-problem').innerText.startsWith('Not accepted')")
      try page.type(reading)
      try page.press(.enter)
      try page.wait(for: "connection", Self.isLive)
      try page.wait(for: "the task", Self.row("task", "kept"))
      #expect(try page.evaluate("sessionStorage.getItem('lifeline-key')") == .string(reading))
      #expect(try page.evaluate("localStorage.getItem('lifeline-key')") == .null)
      #expect(try page.evaluate("document.documentElement.outerHTML.includes(\(BrowserPage.quoted(reading)))") == false)

      _ = try page.evaluate("\(Self.row("task", "kept")).querySelector('.open').click()")
      try page.click("#detail .danger")
      try page.click("#confirm-yes")
      try page.wait(
        for: "a clear word", "document.querySelector('.toast.failed')?.innerText.startsWith('Could not cancel kept:')")
      #expect(try page.text(".toast.failed").contains("Use a key with another role"))
      #expect(try fleet.run(["tasks", "--api-key", reading]).contains("queued"))
      let faults = page.problems.filter { !$0.contains("status of 401") && !$0.contains("status of 403") }
      #expect(faults.isEmpty, "\(faults)")
    }
  }
}
