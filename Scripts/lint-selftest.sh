#!/bin/bash
# Shows that every rule of lint.sh can fail, at the right file and line, and that innocent code passes.
set -euo pipefail
lint=$(cd "$(dirname "$0")" && pwd)/lint.sh
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
failures=0
cases=0

# One file, its breach on line 2 (the first line is innocent), checked alone.
check() { # check EXPECTATION PATH LINE-2 [LINE-3]
  local expectation=$1 path=$2 output status=0
  rm -rf "${root:?}"/*
  mkdir -p "$root/$(dirname "$path")"
  printf 'let first = 1\n%s\n%s\n' "$3" "${4:-}" >"$root/$path"
  output=$("$lint" "$root" 2>/dev/null) || status=$?
  cases=$((cases + 1))
  case $expectation in
    caught) [ "$status" -eq 1 ] && grep -qF "$path:2: " <<<"$output" && return ;;
    passes) [ "$status" -eq 0 ] && return ;;
  esac
  failures=$((failures + 1))
  echo "lint-selftest: should be $expectation in $path: $3 ${4:-}" >&2
}

core=Sources/WebSocketCore/Frame.swift
check caught $core 'import Glibc'
check caught $core 'internal import Reactor'
check caught $core '@preconcurrency import Synchronization'
check caught $core 'import FoundationEssentials'
check caught Sources/Primitives/A.swift 'public import Foundation'
check caught Sources/Reactor/A.swift 'import Foundation'
check passes Sources/Reactor/A.swift 'import Glibc'
check passes $core '// import Glibc'
check passes $core 'import WebSocketCore'

check caught $core 'let start = ContinuousClock.now'
check caught $core 'deadline(from: .now)'
check caught $core 'clock.now()'
check caught $core 'clock_gettime(CLOCK_MONOTONIC, &spec)'
check passes Sources/Reactor/A.swift 'clock_gettime(CLOCK_MONOTONIC, &spec)'
check passes $core 'let deadline = context.now + timeout'
check passes $core 'let nowhere = point.nowhere'

check caught $core 'Int.random(in: 0...5)'
check caught $core 'let peer = peers.randomElement()'
check caught $core 'var generator = SystemRandomNumberGenerator()'
check passes $core 'Int.random(in: 0...5, using: &random)'
check passes $core 'Int.random(' '  in: 0...5, using: &random)'
check caught $core 'Task { await run() }'
check passes $core 'case task(TaskName)'

check caught Sources/Reactor/A.swift 'let value = try! read()'
check passes Tests/ReactorTests/A.swift 'let value = try! read()'
check caught Sources/Reactor/A.swift 'let value = any as! String'
check passes Sources/Reactor/A.swift 'let alias = value // as! would trap'

for place in home root Users; do
  check caught Tests/ReactorTests/A.swift "let path = \"/$place/me/data\""
done
check caught Scripts/demo.sh "cd /home""/me/lifeline"
check passes Tests/ReactorTests/A.swift 'let url = "ws://localhost/home/page"'

if [ "$failures" -ne 0 ]; then
  echo "lint-selftest: $failures of $cases cases went wrong." >&2
  exit 1
fi
echo "lint-selftest: $cases cases as expected."
