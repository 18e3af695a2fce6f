import CoordinationCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

extension InChromium {
  /// How the page looks, and how it is told to those who do not see it.
  @Suite struct DashboardLayoutTests {
    /// A fleet with something of everything, and a page in which a task and a message are shown.
    private static func busy(_ browser: Chromium) throws -> (DashboardFleet, BrowserPage) {
      let fleet = try DashboardFleet()
      try fleet.worker("a-worker-with-a-rather-long-name-in-a-data-centre-far-away")
      let gone = try fleet.worker("gone")
      _ = try fleet.submit("echo out; exit 1", run: "short", name: "fails")
      let long = String(repeating: "a-word-that-never-ends", count: 12)
      _ = try fleet.submit("sleep 600", run: "a-run-with-a-name-that-is-longer-than-most", name: long)
      for priority in ["CRITICAL", "LOW"] {
        _ = try fleet.submit("sleep 600", run: "run-\(priority)", options: ["--priority", priority])
      }
      let page = try DashboardUseTests.opened(fleet, in: browser)
      try page.wait(for: "the failure", "\(DashboardUseTests.row("task", "fails"))?.innerText.includes('failed')")
      try gone.kill()
      try page.wait(for: "absence", DashboardUseTests.isGone("gone"))
      _ = try page.evaluate("\(DashboardUseTests.row("task", "fails")).querySelector('.open').click()")
      try page.wait(for: "attempts", "document.querySelector('#detail [aria-label=Attempts] tbody tr')")
      return (fleet, page)
    }

    @Test func `nothing scrolls sideways and nothing is too faint, from a phone to a wall, on paper and on slate`()
      throws
    {
      let browser = try Chromium()
      let (fleet, page) = try Self.busy(browser)
      for width in [360, 640, 768, 1_024, 1_280, 1_920, 2_560] {
        try page.resize(width, width < 700 ? 780 : 1_000)
        for isOpen in [true, false] {
          _ = try page.evaluate(
            isOpen
              ? "document.querySelector('#detail').hidden = false" : "document.querySelector('#detail').hidden = true")
          // A frame for the new layout.
          _ = try page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
          let overflow = try page.evaluate("document.documentElement.scrollWidth - innerWidth").number ?? 1
          #expect(overflow <= 0, "\(width) px wide, \(overflow) px too many\(isOpen ? " with a task" : "")")
          // A box that is wider than what it stands in is cut off, unless it scrolls by itself.
          let cut = try page.evaluate(
            """
            [...document.querySelectorAll('.bar > *, .panel > header, .panel > header > *, .figure, .detail > *')]
              .filter(one => one.offsetParent && one.getBoundingClientRect().right > innerWidth + 1)
              .map(one => one.className || one.id || one.tagName).join(' ')
            """)
          #expect(cut == "", "\(width) px wide: \(cut)")
        }
      }
      try page.resize(1_280, 900)
      _ = try page.evaluate("document.querySelector('#detail').hidden = false")
      for theme in ["light", "dark"] {
        try page.prefer(theme: theme)
        let faint = try page.evaluate(Self.faintTexts)
        #expect(faint == "", "\(theme): \(faint)")
      }
      // The switch wins over the system, and is kept.
      try page.prefer(theme: "light")
      let ground = "getComputedStyle(document.body).backgroundColor"
      let light = try page.evaluate(ground)
      try page.click("#theme-button")
      #expect(try page.text("#theme-button") == "Theme: light")
      try page.click("#theme-button")
      #expect(try page.text("#theme-button") == "Theme: dark")
      let dark = try page.evaluate(ground)
      #expect(light != dark)
      try page.open(fleet.page)
      try page.wait(for: "connection", DashboardUseTests.isLive)
      #expect(try page.evaluate(ground) == dark)
      #expect(page.problems.isEmpty, "\(page.problems)")
    }

    /// Texts whose contrast is less than WCAG 2.2 asks for in its criterion 1.4.3 (AA), with what they have: computed from
    /// the colours that Chromium shows, each upon what lies beneath it.
    private static let faintTexts = """
      (() => {
        const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        const read = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
          const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
        const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
        const beneath = node => { let color = [0, 0, 0, 0];
          for (let one = node; one; one = one.parentElement) {
            const own = read(getComputedStyle(one).backgroundColor);
            color = color[3] === 0 ? own : color;
            if (color[3] === 1) return color;
            if (own[3] === 1) return over(color, own);
          }
          return over(color, [255, 255, 255, 1]); };
        const light = color => { const [r, g, b] = color.slice(0, 3).map(value => { const v = value / 255;
          return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const found = new Set();
        let seen = 0;
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
          const node = walker.currentNode.parentElement;
          if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest('.unseen, .skip, :disabled, option, script, noscript')) continue;
          const style = getComputedStyle(node);
          const below = beneath(node);
          const color = node.namespaceURI.endsWith('svg') ? style.fill : style.color;
          const [a, b] = [light(over(read(color), below)), light(below)];
          const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          const size = parseFloat(style.fontSize);
          const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
          seen += 1;
          if (ratio < needed) found.add(`${ratio.toFixed(2)} ${node.className || node.id || node.tagName}: ${walker.currentNode.data.trim().slice(0, 24)}`);
        }
        return seen > 40 ? [...found].join('; ') : `only ${seen} texts were found`;
      })()
      """

    @Test func `every control has a name, and the page its landmarks and tables`() throws {
      let browser = try Chromium()
      let (_, page) = try Self.busy(browser)
      let nodes = (try page.call("Accessibility.getFullAXTree")["nodes"]?.array ?? []).compactMap(\.object)
      func text(_ node: JSONObject, _ member: String) -> String { node[member]?.object?["value"]?.string ?? "" }
      let shown = nodes.filter { $0["ignored"]?.bool != true }
      let controls: Set = [
        "button", "textbox", "searchbox", "combobox", "checkbox", "link", "table", "img", "image", "log",
        "complementary",
        "region", "group",
      ]
      let nameless = shown.filter { controls.contains(text($0, "role")) && text($0, "name").isEmpty }
      #expect(nameless.isEmpty, "\(nameless.map { "\(text($0, "role")) \($0["backendDOMNodeId"] ?? .null)" })")
      let roles = Set(shown.map { text($0, "role") })
      for role in [
        "banner", "main", "complementary", "region", "table", "row", "columnheader", "rowheader", "cell", "searchbox",
        "combobox", "checkbox", "heading", "log",
      ] {
        #expect(roles.contains(role), "there is no \(role) among \(roles.sorted())")
      }
      let tables = Set(shown.filter { text($0, "role") == "table" }.map { text($0, "name") })
      #expect(tables.isSuperset(of: ["Workers", "Tasks"]))
      // A state is said in words, not by colour alone.
      let cells = shown.filter { text($0, "role") == "cell" }.map { text($0, "name") }
      #expect(cells.contains("failed") && cells.contains("running"))
      #expect(page.problems.isEmpty, "\(page.problems)")
    }

    @Test func `the arrows go from row to row, and one stroke of Tab leaves the list`() throws {
      let fleet = try DashboardFleet()
      let commands = (1...60).map { "true \($0)" }.joined(separator: "\n")
      try fleet.run(["submit", "--run", "many"], input: commands)
      let page = try DashboardUseTests.opened(fleet, in: Chromium())
      try page.wait(
        for: "the tasks", "document.querySelector('#task-list table').getAttribute('aria-rowcount') === '61'")
      // Only those in sight exist.
      let rows = try page.evaluate("document.querySelectorAll('#task-list tbody tr').length").integer ?? 0
      #expect(rows > 5 && rows < 50)
      let at = "document.activeElement.closest('tr')?.getAttribute('aria-rowindex')"
      _ = try page.evaluate("document.querySelector('#task-list tbody .open').focus()")
      #expect(try page.evaluate(at) == "2")
      for _ in 0..<3 { try page.press(.down) }
      #expect(try page.evaluate(at) == "5")
      try page.press(.end)
      try page.wait(for: "the last row", "\(at) === '61'")
      let isInSight = """
        (() => { const row = document.activeElement.closest('tr').getBoundingClientRect();
          const list = document.querySelector('#task-list').getBoundingClientRect();
          return row.top >= list.top && row.bottom <= list.bottom + 1; })()
        """
      #expect(try page.evaluate(isInSight) == true)
      try page.press(.tab)
      #expect(try page.evaluate("document.activeElement.closest('#task-list tbody')") == .null)
      #expect(page.problems.isEmpty, "\(page.problems)")
    }
  }
}
