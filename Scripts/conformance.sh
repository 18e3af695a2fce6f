#!/bin/sh
# Builds websocket-echo optimised and runs the Autobahn testsuite against it as a server and as a client; arguments are
# those of Tests/Conformance/run.py. Exit status: 0 every case passed, 1 some did not, 2 the run failed, 77 skipped for
# want of a Python 2.7.
set -eu
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}

status=0
Tests/Conformance/install.sh || status=$?
if [ "$status" -eq 77 ]; then
  echo "conformance: SKIPPED for want of Python 2.7: nothing was tested." >&2
fi
[ "$status" -eq 0 ] || exit "$status"
"$swift" build -c release --product websocket-echo >&2
program=$("$swift" build -c release --show-bin-path)/websocket-echo
exec python3 Tests/Conformance/run.py --program "$program" "$@"
