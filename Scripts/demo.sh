#!/bin/sh
# Shows the demonstration with the optimised program that make has just built.
set -eu
cd "$(dirname "$0")/.."
exec "$("${SWIFT:-swift}" build -c release --show-bin-path)/lifeline" demo "$@"
