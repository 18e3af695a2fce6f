public import ArgumentParsing

/// A program's manual, written from the declarations of its commands: nothing in it is kept by hand.
public struct Manual: Sendable {
  public struct Page: Sendable, Equatable {
    /// `lifeline-run.1`
    public let fileName: String
    public let text: String
  }

  let root: Command
  /// `Lifeline 0.1.0`
  let title: String
  /// Of the version, not of the day on which the page was made: the same sources give the same bytes.
  let date: String
  /// The name of the configuration file's page, without the section.
  let fileName: String
  /// Where the configuration file is looked for, first to last.
  let filePlaces: [(place: String, meaning: String)]

  public init(
    of root: Command, title: String, date: String, fileName: String, filePlaces: [(place: String, meaning: String)]
  ) {
    self.root = root
    self.title = title
    self.date = date
    self.fileName = fileName
    self.filePlaces = filePlaces
  }

  /// A page for each command, and one for the configuration file.
  public var pages: [Page] {
    root.tree.map { path, command in
      let page = ManualPage(
        command: command, path: path, inherited: path.count > 1 ? inherited(by: path) : [], manual: self)
      return Page(fileName: "\(page.name).1", text: page.text)
    } + [Page(fileName: "\(fileName).5", text: ConfigurationPage(manual: self).text)]
  }

  private func inherited(by path: [String]) -> [OptionDefinition] {
    root.tree.filter { $0.path.count < path.count && path.starts(with: $0.path) }.flatMap { $0.command.options }
  }
}
