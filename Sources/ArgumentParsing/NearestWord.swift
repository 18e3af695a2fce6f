/// Finds the word somebody probably meant.
public enum NearestWord {
  /// Longer texts are no typing errors, and comparing them takes time that grows with the square of the length.
  private static let lengthMax = 64

  /// The one of `words` nearest to `text`; `nil` if none is near enough to be worth naming.
  public static func find(_ text: String, in words: [String]) -> String? {
    guard !text.isEmpty, text.utf8.count <= lengthMax else { return nil }
    let completions = words.filter { text.count >= 2 && $0.hasPrefix(text) }
    if completions.count == 1 { return completions.first }
    var best: (word: String, distance: Int)?
    for word in words {
      let distance = editDistance(text.lowercased(), word)
      // A third of the letters wrong is a typing error, more is another word.
      guard distance <= max(1, max(word.count, text.count) / 3), distance < best?.distance ?? .max else { continue }
      best = (word, distance)
    }
    return best?.word
  }

  /// The least number of letters inserted, dropped, replaced or swapped with a neighbour that turns one into the other.
  static func editDistance(_ left: String, _ right: String) -> Int {
    let left = Array(left)
    let right = Array(right)
    var beforeLast: [Int] = []
    var last = Array(0...right.count)
    for (i, letter) in left.enumerated() {
      var row = [i + 1]
      for (j, other) in right.enumerated() {
        var cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (letter == other ? 0 : 1))
        if i > 0, j > 0, letter == right[j - 1], left[i - 1] == other { cost = min(cost, beforeLast[j - 1] + 1) }
        row.append(cost)
      }
      beforeLast = last
      last = row
    }
    return last[right.count]
  }
}
