internal import Primitives

/// Rows under headings, in aligned columns, for people; programs are better served with JSON.
public struct Table: Sendable {
  public enum Alignment: Sendable { case left, right }

  public struct Column: Sendable {
    public let title: String
    public let alignment: Alignment
    /// Whether the column may be cut when the table is wider than the terminal. Identifiers should not be.
    public let mayShrink: Bool

    public init(_ title: String, _ alignment: Alignment = .left, mayShrink: Bool = false) {
      self.title = title
      self.alignment = alignment
      self.mayShrink = mayShrink
    }
  }

  /// A text and how it stands out. Control characters in it are shown escaped.
  public struct Cell: Sendable, ExpressibleByStringInterpolation {
    let text: String
    let emphasis: TextStyle.Emphasis

    public init(_ text: String, _ emphasis: TextStyle.Emphasis = .none) {
      self.text = text.escapedForDisplay
      self.emphasis = emphasis
    }

    public init(stringLiteral value: String) { self.init(value) }
  }

  /// A cut column keeps at least this many columns, else nothing of it could be recognised.
  private static let shrunkenMin = 8
  private static let gap = 2

  public let columns: [Column]
  public private(set) var rows: [[Cell]] = []

  public init(_ columns: [Column]) {
    self.columns = columns
  }

  /// Adds a row; it has exactly one cell for each column.
  public mutating func append(_ cells: [Cell]) {
    precondition(cells.count == columns.count, "\(cells.count) cells for \(columns.count) columns")
    rows.append(cells)
  }

  /// The heading and the rows, each a line without its end.
  ///
  /// `width` is the terminal's; `nil`, for a pipe, cuts nothing. Where cutting is not enough, lines are wider than `width`.
  public func lines(width: Int?, style: TextStyle = .plain) -> [String] {
    let heading = columns.map { Cell($0.title, .bold) }
    let widths = columnWidths(fitting: width)
    return ([heading] + rows).map { line($0, widths, style) }
  }

  private func columnWidths(fitting width: Int?) -> [Int] {
    var widths = columns.map(\.title.displayColumns)
    for row in rows {
      for (index, cell) in row.enumerated() { widths[index] = max(widths[index], cell.text.displayColumns) }
    }
    guard let width else { return widths }
    var excess = widths.reduce(0, +) + Self.gap * (widths.count - 1) - width
    // The widest gives first, one column at a time, so that several long ones end up equal.
    while excess > 0 {
      let candidates = widths.indices.filter { columns[$0].mayShrink && widths[$0] > Self.shrunkenMin }
      guard let widest = candidates.max(by: { widths[$0] < widths[$1] }) else { break }
      widths[widest] -= 1
      excess -= 1
    }
    return widths
  }

  private func line(_ cells: [Cell], _ widths: [Int], _ style: TextStyle) -> String {
    var result = ""
    var pending = 0  // Spaces are written only before more text, so no line ends in them.
    for (index, cell) in cells.enumerated() {
      let text = cell.text.truncated(toColumns: widths[index])
      let padding = widths[index] - text.displayColumns
      if columns[index].alignment == .right { pending += padding }
      if !text.isEmpty {
        result += String(repeating: " ", count: pending) + style.apply(cell.emphasis, to: text)
        pending = 0
      }
      pending += Self.gap + (columns[index].alignment == .left ? padding : 0)
    }
    return result
  }
}
