/// A part of a key: `a` and `b` of `a.b = 1`.
struct TOMLKey {
  let text: String
  let position: TOMLPosition
}

/// A table that still grows. What may be added to it depends on how it came to be: TOML lets nobody define one twice.
///
/// A reference, so that a section of a large file costs its own lines and not those before it.
final class TOMLNode {
  enum Origin {
    /// Only named on the way to another: `a` of `[a.b]`. May be defined once.
    case implied
    /// `[a]`, `[[a]]`, or the whole text.
    case header
    /// `a` of `a.b = 1`; more such keys may add to it, a header may not.
    case dotted
    /// `{ … }`, to which nothing can be added.
    case inline
  }

  enum Slot {
    case value(TOMLItem)
    case table(TOMLNode)
    /// `[[a]]`, once or more.
    case tables([TOMLNode])
  }

  private struct Entry {
    let key: TOMLKey
    var slot: Slot
  }

  private var origin: Origin
  private let position: TOMLPosition
  private var entries: [Entry] = []
  private var places: [String: Int] = [:]

  init(_ origin: Origin, at position: TOMLPosition) {
    self.origin = origin
    self.position = position
  }

  /// The table as a value, with everything in it. Its depth is bounded by the parser.
  var table: TOMLTable {
    TOMLTable(
      entries.map { entry in
        let item =
          switch entry.slot {
          case .value(let item): item
          case .table(let node): TOMLItem(.table(node.table), at: node.position)
          case .tables(let nodes):
            TOMLItem(.array(nodes.map { TOMLItem(.table($0.table), at: $0.position) }), at: entry.key.position)
          }
        return TOMLTable.Entry(key: entry.key.text, position: entry.key.position, item: item)
      })
  }

  /// `[path]`: the table to fill from here on.
  func define(_ path: [TOMLKey]) throws(TOMLError) -> TOMLNode {
    guard let last = path.last else { return self }
    let parent = try parent(of: path)
    guard let index = parent.places[last.text] else {
      let node = TOMLNode(.header, at: last.position)
      parent.append(last, .table(node))
      return node
    }
    let first = parent.entries[index]
    switch first.slot {
    case .table(let node) where node.origin == .implied:
      node.origin = .header
      return node
    case .table(let node):
      throw TOMLError(
        "the table \(Self.text(path)) is there already, on line \(node.position.line); put its keys together",
        at: last.position)
    case .tables:
      throw TOMLError(
        "\(Self.text(path)) is a list of tables, since line \(first.key.position.line); write [[\(Self.text(path))]]",
        at: last.position)
    case .value:
      throw TOMLError(
        "\(Self.text(path)) has a value already, on line \(first.key.position.line)", at: last.position)
    }
  }

  /// `[[path]]`: one more table of a list, to fill from here on.
  func appendTable(_ path: [TOMLKey]) throws(TOMLError) -> TOMLNode {
    guard let last = path.last else { return self }
    let parent = try parent(of: path)
    let node = TOMLNode(.header, at: last.position)
    guard let index = parent.places[last.text] else {
      parent.append(last, .tables([node]))
      return node
    }
    guard case .tables(var nodes) = parent.entries[index].slot else {
      throw TOMLError(
        "\(Self.text(path)) is there already, on line \(parent.entries[index].key.position.line), and is no list of tables",
        at: last.position)
    }
    // The list must be ours alone to grow in place.
    parent.entries[index].slot = .tables([])
    nodes.append(node)
    parent.entries[index].slot = .tables(nodes)
    return node
  }

  /// `path = item`, seen from this table.
  func set(_ path: [TOMLKey], _ item: TOMLItem) throws(TOMLError) {
    guard let last = path.last else { return }
    var node = self
    for key in path.dropLast() {
      guard let index = node.places[key.text] else {
        let made = TOMLNode(.dotted, at: key.position)
        node.append(key, .table(made))
        node = made
        continue
      }
      guard case .table(let next) = node.entries[index].slot, next.origin == .dotted || next.origin == .implied else {
        throw TOMLError(
          "\(Self.text([key])) is there already, on line \(node.entries[index].key.position.line), and takes no more keys this way",
          at: key.position)
      }
      next.origin = .dotted
      node = next
    }
    if let index = node.places[last.text] {
      throw TOMLError(
        "\(Self.text(path)) is set twice, first on line \(node.entries[index].key.position.line); keep one of them",
        at: path[0].position)
    }
    node.append(last, .value(item))
  }

  private func parent(of path: [TOMLKey]) throws(TOMLError) -> TOMLNode {
    var node = self
    for key in path.dropLast() {
      guard let index = node.places[key.text] else {
        let made = TOMLNode(.implied, at: key.position)
        node.append(key, .table(made))
        node = made
        continue
      }
      switch node.entries[index].slot {
      case .table(let next): node = next
      case .tables(let nodes): node = nodes.last ?? node
      case .value:
        throw TOMLError(
          "\(Self.text([key])) is a value, on line \(node.entries[index].key.position.line), and has no tables in it",
          at: key.position)
      }
    }
    return node
  }

  private func append(_ key: TOMLKey, _ slot: Slot) {
    places[key.text] = entries.count
    entries.append(Entry(key: key, slot: slot))
  }

  static func text(_ path: [TOMLKey]) -> String { path.map { TOMLText.key($0.text) }.joined(separator: ".") }
}
