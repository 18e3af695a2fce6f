import ArgumentParsing
import CoordinationCore
import Terminal
import WebSocketLoad

import func Glibc.exit

/// Puts a WebSocket echo server under load: `ws-load --url ws://127.0.0.1:9001 --connections 100 --depth 16`.
@main struct Program {
  static func main() {
    do throws(UsageError) {
      let parser = ArgumentParser(LoadOptions.command, version: "of this working copy")
      switch try parser.parse(Array(CommandLine.arguments.dropFirst())) {
      case .help(let page): say([page.text(columns: TerminalDevice.columns(1) ?? 80)])
      case .version(let text): say([text])
      case .run(let invocation): run(try LoadOptions(invocation))
      }
    } catch {
      fail("\(error)", status: UsageError.exitStatus)
    }
  }

  private static func run(_ options: LoadOptions) {
    do throws(LoadError) {
      let result = try LoadRun.run(options)
      say(options.printsJSON ? [result.json.text] : result.lines)
    } catch {
      fail("ws-load: \(error)", status: 1)
    }
  }

  private static func say(_ lines: [String]) {
    _ = DescriptorWriter.standardOutput.write(lines.map { $0 + "\n" }.joined())
  }

  private static func fail(_ text: String, status: Int32) {
    _ = DescriptorWriter.standardError.write(text + "\n")
    exit(status)
  }
}
