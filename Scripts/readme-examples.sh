#!/bin/sh
# Fails unless every marked excerpt of a compiled test source stands in README.md word for word, or the README rots.
set -eu
cd "$(dirname "$0")/.."
exec awk '
  FNR == NR { readme = readme $0 "\n"; next }
  /README: begin coordinator/ { next }  # Named by the README, not shown in it.
  /README: begin/ { inside = 1; excerpt = ""; start = FNR; next }
  /README: end/ {
    if (inside && !index(readme, excerpt)) {
      printf "%s:%d: the excerpt that begins here is not in README.md; copy it there\n", FILENAME, start
      wrong = 1
    }
    found += inside; inside = 0; next
  }
  inside { excerpt = excerpt $0 "\n" }
  END {
    if (found < 3) { print "readme: only " found " excerpts were found"; wrong = 1 }
    if (!wrong) print "readme: " found " excerpts are as they are compiled."
    exit wrong
  }
' README.md Tests/ReactorTests/TCPEchoExample.swift Tests/CoordinationTests/EmbeddingExamples.swift
