import Glibc
import Reactor
import TestSupport
import Testing

extension LifelineTests {
  @Suite struct DocsCommandTests {
    private let directory = TemporaryDirectory()

    private static func isThere(_ program: String) -> Bool { access(program, X_OK) == 0 }

    private func pages(_ name: String, _ environment: [String: String] = [:]) throws -> [String: [UInt8]] {
      let folder = directory.file(name)
      let outcome = try RunningProgram(["docs", "man", "--to", folder], environment: environment).end()
      #expect(outcome.status == 0, "\(outcome.errors)")
      var pages: [String: [UInt8]] = [:]
      let stream = try #require(opendir(folder))
      while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if !name.hasPrefix(".") { pages[name] = TestProcess.contents(of: "\(folder)/\(name)") }
      }
      closedir(stream)
      return pages
    }

    @Test func `each command has a page, the same to the byte when made again`() throws {
      let pages = try pages("first")
      for command in HelpTests.commands { #expect(pages["lifeline-\(command).1"] != nil, "\(command)") }
      for name in ["lifeline.1", "lifeline-config-check.1", "lifeline.toml.5"] {
        #expect(pages[name] != nil, "\(name)")
      }
      #expect(try self.pages("second") == pages)
    }

    @Test func `pages carry the date that packages are given`() throws {
      let page = try #require(try pages("dated", ["SOURCE_DATE_EPOCH": "1000000000"])["lifeline.1"])
      #expect(String(decoding: page, as: UTF8.self).contains("\"2001\\-09\\-09\""))
    }

    @Test(.enabled(if: isThere("/usr/bin/groff"), "groff is missing; apt install groff-base man-db"))
    func `roff finds nothing to warn of in any page`() throws {
      _ = try pages("man")
      for arguments in [["-man", "-ww", "-z", "-Tutf8"], ["-man", "-ww", "-z", "-Tascii"]] {
        let script =
          "for page in '\(directory.file("man"))'/*; do groff \(arguments.joined(separator: " ")) \"$page\"; done"
        let shell = try TestProcess("/bin/sh", ["-c", script])
        #expect(try shell.exit() == .exited(0))
        #expect(shell.errors.all.isEmpty)
      }
    }

    @Test(.enabled(if: isThere("/usr/bin/man"), "man is missing; apt install groff-base man-db"))
    func `man shows what help shows`() throws {
      _ = try pages("man")
      let script = "MANWIDTH=200 man --warnings -l '\(directory.file("man"))/lifeline-coordinator.1'"
      let man = try TestProcess("/bin/sh", ["-c", script], environment: ["LC_ALL": "C.UTF-8", "MANPAGER": "cat"])
      #expect(try man.exit() == .exited(0))
      #expect(man.errors.all.isEmpty)
      let text = man.output.all.joined(separator: "\n")
      for part in ["--heartbeat-timeout SECONDS", "--[no-]compression", "LIFELINE_COORDINATOR_HOST is --host"] {
        #expect(text.contains(part), "\(part)\n\(text)")
      }
    }

    @Test func `a folder that cannot be made is told`() throws {
      let outcome = try RunningProgram(["docs", "man", "--to", directory.file("a/b")]).end()
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("No such file or directory"))
    }
  }
}
