#!/bin/bash
# Runs the tests that touch memory, sockets and threads by hand under a sanitizer, in a build folder of its own.
# Usage: Scripts/sanitized-tests.sh address|thread [FILTER]   FILTER is a regular expression of `swift test`.
# Closes with "N passed, N failed"; exit status 1 when a test failed or the sanitizer reported something.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
sanitizer=${1:?usage: sanitized-tests.sh address|thread [FILTER]}
suites='PrimitivesTests CryptographyTests CertificatesTests ReactorTests FaultProxyTests WebSocketCoreTests WebSocketTests FuzzTests'
filter=${2:-^(${suites// /|})\\.}
case $sanitizer in address) folder=.build/asan ;; thread) folder=.build/tsan ;; *) echo "sanitized-tests: address or thread, not $sanitizer" >&2; exit 2 ;; esac

export SWIFT_BACKTRACE=enable=no # The sanitizer's own report is the one to read.
export ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$PWD/Tests/Sanitizers/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=0:second_deadlock_stack=1:${TSAN_OPTIONS:-}"
log=$folder.log
flags=(--sanitize="$sanitizer" --scratch-path "$folder")
if [ $# -lt 2 ]; then
  # What nobody runs is not built: under a sanitizer that takes longer than the tests. They start websocket-echo.
  export LIFELINE_TESTS=$suites
  "$swift" build --product lifelinePackageTests "${flags[@]}"
  "$swift" build --product websocket-echo "${flags[@]}"
else
  "$swift" build --build-tests "${flags[@]}"
fi
status=0
# One by one: a sanitizer makes the tests several times slower, and each has a time limit that waiting counts towards.
"$swift" test --skip-build --disable-xctest --no-parallel "${flags[@]}" --filter "$filter" >"$log" 2>&1 || status=$?

passed=$(grep -cE '^✔ Test [^r].* passed after' "$log" || true)
failed=$(grep -cE '^✘ Test [^r].* failed after' "$log" || true)
reports=$(grep -cE '(WARNING: ThreadSanitizer|ERROR: (Address|Leak)Sanitizer)' "$log" || true)
if [ "$status" -ne 0 ] || [ "$failed" -ne 0 ] || [ "$reports" -ne 0 ] || [ "$passed" -eq 0 ]; then
  grep -E '^✘|Sanitizer' -A 25 "$log" | head -n 150
  echo "sanitized-tests: $sanitizer: status $status, $reports reports; everything is in $log" >&2
  [ "$status" -ne 0 ] || status=1
fi
echo "$sanitizer sanitizer: $passed passed, $((failed + reports)) failed"
exit "$status"
