#!/bin/sh
# Runs the benchmarks package, which lives apart so that its dependencies are no user's dependencies.
set -eu
cd "$(dirname "$0")/.."
if [ ! -f Benchmarks/Package.swift ]; then
  echo "bench: there are no benchmarks in this version." >&2
  exit 1
fi
exec "${SWIFT:-swift}" run -c release --package-path Benchmarks "$@"
