#!/bin/bash
# Tests Clients/python against the real coordinator: Scripts/python-tests.sh [TEST…]   (names as unittest has them)
# With the newest `websockets`, and, unless tests are named, the connection once more with 10.4, the oldest supported, and
# the types with mypy. `lifeline` is built, unless LIFELINE names one. Closes with "N passed, N failed".
# Exit status: 0 all passed, 1 some did not, 77 skipped for want of Python or websockets.
set -u
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
python=${PYTHON:-python3}
folder=$PWD/.build/python

skip() {
  echo "python-tests: SKIPPED, nothing was tested: $*" >&2
  exit 77
}

"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' 2>/dev/null ||
  skip "Python 3.9 or newer with venv is needed (Debian: python3-venv)"

# environment NAME REQUIREMENT…: a virtual environment with these, made once.
environment() {
  local name=$1 stamp=$folder/$1/installed
  shift
  [ "$(cat "$stamp" 2>/dev/null)" = "$*" ] && return 0
  rm -rf "${folder:?}/$name"
  "$python" -m venv "$folder/$name" >&2 &&
    "$folder/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2 &&
    echo "$*" >"$stamp"
}

mkdir -p "$folder"
newest=$folder/newest/bin/python
if ! environment newest 'websockets>=13'; then
  # No package index: Debian's own package will do.
  [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import websockets' 2>/dev/null || Scripts/deps.sh python3-websockets >&2 ||
    skip "websockets cannot be installed (pip install websockets, or Debian's python3-websockets)"
  newest=/usr/bin/python3
  "$newest" -c 'import websockets' 2>/dev/null || skip "websockets cannot be installed"
fi

if [ -z "${LIFELINE:-}" ]; then
  "$swift" build --product lifeline >&2 || exit 1
  LIFELINE=$("$swift" build --show-bin-path)/lifeline || exit 1
fi
export LIFELINE
passed=0
failed=0
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
parts=0

# part TITLE PYTHON TEST…: begins to run these tests. Parts run beside each other, for most of them mostly wait.
part() {
  local title=$1 program=$2
  shift 2
  parts=$((parts + 1))
  printf -- '--- %s: websockets %s\n' "$title" \
    "$("$program" -c 'import importlib.metadata as m; print(m.version("websockets"))')" >"$logs/$parts"
  (
    cd Clients/python || exit
    PYTHONPATH=src PYTHONDONTWRITEBYTECODE=1 exec "$program" -W error::ResourceWarning -m unittest -v "$@"
  ) >>"$logs/$parts" 2>&1 &
  processes[parts]=$!
}

# finish: waits for all parts, shows what they said, and counts.
finish() {
  local index status ran broken
  for index in $(seq 1 "$parts"); do
    status=0
    wait "${processes[index]}" || status=$?
    cat "$logs/$index"
    ran=$(sed -n 's/^Ran \([0-9]*\) tests\{0,1\} in .*/\1/p' "$logs/$index" | tail -1)
    ran=${ran:-0}
    broken=$(sed -n 's/^FAILED (\(.*\))$/\1/p' "$logs/$index" | tail -1 | grep -oE '(failures|errors)=[0-9]+' | cut -d= -f2 |
      paste -sd+ -)
    broken=$((${broken:-0}))
    # A run that ended before it could count, or ran nothing, has failed; a test may fail in several places.
    if { [ "$status" -ne 0 ] && [ "$broken" -eq 0 ]; } || [ "$ran" -eq 0 ]; then broken=1; fi
    [ "$broken" -le "$ran" ] || ran=$broken
    passed=$((passed + ran - broken))
    failed=$((failed + broken))
  done
}

if [ $# -gt 0 ]; then
  part "Tests" "$newest" "$@"
  finish
else
  e2e=tests.test_end_to_end
  part "Cores and faults" "$newest" tests.test_protocol tests.test_core tests.test_rotation tests.test_outbox $e2e.FaultTests
  part "Fleets, keys and clients" "$newest" $e2e.WorkTests $e2e.FleetTests $e2e.ExampleTests $e2e.KeyTests $e2e.ClientTests
  finish
  parts=0
  if environment oldest 'websockets==10.4'; then
    part "Connections" "$folder/oldest/bin/python" $e2e.WorkTests $e2e.KeyTests $e2e.ClientTests
  else
    echo "--- Connections: SKIPPED, websockets 10.4 cannot be installed"
  fi
  if environment types 'websockets>=13' mypy; then
    printf -- '--- Types\n'
    if (cd Clients/python && "$folder/types/bin/python" -m mypy --cache-dir "$folder/types/cache"); then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
    fi
  else
    echo "--- Types: SKIPPED, mypy cannot be installed"
  fi
  finish
fi

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
