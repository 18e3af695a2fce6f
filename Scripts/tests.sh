#!/bin/bash
# Runs all tests, in parts one after the other: Scripts/tests.sh [SWIFT-TEST-FLAG…]
#
# The test runner starts everything at once, and a test that waits gets its next turn only when the processor has been
# through all the others. Long computations therefore have a part of their own: beside them, tests of sockets and processes
# would run into their bounds. With flags of the caller's there is one part.
set -u
swift=${SWIFT:-swift}

if [ -n "${TEST_FLAGS:-}" ]; then
  # shellcheck disable=SC2086 # flags are words
  exec "$swift" test --disable-xctest "$@" $TEST_FLAGS
fi

simulation='^SimulationTests\.'
computing='^(CoordinationCoreTests|AuthenticationTests|CryptographyTests|HistoryTests|WebSocketCoreTests|FuzzTests|PrimitivesTests)\.'
stores='^(StorageTests|PostgreSQLTests)\.'
databases='^StorageTests\.(PostgresFaultTests|PostgresFailoverTests|SharedTaskStoreTests)'
values='^(ArgumentParsingTests|CommandDocumentsTests|ConfigurationTests|MetricsTests|StructuredLogTests|TOMLTests|TestRunsTests|TrialReportTests)\.'
coordination='^CoordinationTests\.'
browser='^DashboardTests\.'
processes='^(EndToEndTests|LifelineTests|TrialsTests|ExamplesTests|LifelineBenchmarksTests|WebSocketLoadTests)\.'

"$swift" build --build-tests "$@" || exit
passed=0
failed=0
log=$(mktemp)
reasons=$(mktemp) # what failed, said again at the end: a log of thousands of lines is read from there
trap 'rm -f "$log" "$reasons"' EXIT

part() { # part TITLE FLAG…
  local title=$1
  shift
  printf -- '--- %s\n' "$title"
  "$swift" test --skip-build --disable-xctest "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]} count
  count=$(sed -n 's/^.*Test run with \([0-9]*\) tests\{0,1\} .*\(passed\|failed\).*$/\1/p' "$log" | tail -1)
  if [ "$status" -eq 0 ] && [ "${count:-0}" -gt 0 ]; then
    passed=$((passed + count))
  else
    printf -- '--- %s: FAILED (status %d, %s tests)\n' "$title" "$status" "${count:-no}"
    local broken
    broken=$(grep -c '^✘ Test [^r].* failed after' "$log")
    [ "$broken" -gt 0 ] || broken=1
    # The runner's words, or the last ones of a process that ended without any.
    local words
    words=$(grep -aE '^✘ Test [^r].* (recorded an issue|failed after)|^↳ |Fatal error|error: ' "$log" | head -40)
    printf -- '--- %s (status %d)\n%s\n' "$title" "$status" "${words:-$(tail -20 "$log")}" >>"$reasons"
    failed=$((failed + broken))
    passed=$((passed + ${count:-broken} - broken))
  fi
}

part "Simulation" --filter "$simulation"
part "Cores" --filter "$computing"
part "Stores" --filter "$stores" --skip "$databases"
# One at a time: databases that are killed and come back want a processor when they do.
part "Databases that break" --no-parallel --filter "$databases"
part "Values and texts" --filter "$values"
part "Coordinators and workers" --filter "$coordination"
part "Loops and sockets" \
  --skip "$simulation" --skip "$computing" --skip "$stores" --skip "$values" --skip "$coordination" --skip "$processes" \
  --skip "$browser"
part "Processes" --filter "$processes"
# A browser by itself wants both processors.
part "Dashboard" --filter "$browser"

if [ "$failed" -gt 0 ]; then
  printf -- '\n--- What failed\n'
  cat "$reasons"
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
