#!/bin/sh
# Fails unless every Swift block of the README and the guides stands, indentation aside, in a source that is compiled.
set -eu
cd "$(dirname "$0")/.."
guides=$(find Sources -path '*.docc/*.md' | sort)
sources=$(find Examples Tests -name '*.swift' | sort)
# shellcheck disable=SC2086 # Paths of the repository have no blanks.
exec awk -v documents="README.md $(echo $guides)" '
  BEGIN { count = split(documents, names, " "); for (i = 1; i <= count; i++) isDocument[names[i]] = 1 }
  FNR == 1 { inside = 0; code = code "\f" }
  { line = $0; sub(/^[[:space:]]+/, "", line) }
  !(FILENAME in isDocument) { code = code line "\n"; next }
  line == "```swift" { inside = 1; block = ""; start = FILENAME ":" FNR; next }
  line == "```" && inside { inside = 0; blocks[++found] = block; starts[found] = start; next }
  inside { block = block line "\n" }
  END {
    for (i = 1; i <= found; i++) {
      if (index(code, "\n" blocks[i])) continue
      printf "%s: this code is in no source under Examples or Tests; copy it from one\n", starts[i]
      wrong = 1
    }
    if (found < 3) { print "doc-examples: only " found " blocks were found"; wrong = 1 }
    if (!wrong) print "doc-examples: " found " blocks of code are as they are compiled."
    exit wrong
  }
' README.md $guides $sources
