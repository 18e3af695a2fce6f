#!/bin/sh
# Builds the benchmarks optimised and runs them; arguments are the program's own: see `Scripts/bench.sh --help`.
set -eu
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
"$swift" build -c release --product bench >&2
exec "$("$swift" build -c release --show-bin-path)/bench" "$@"
