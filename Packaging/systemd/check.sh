#!/bin/sh
# Checks the units with systemd's own tools: Packaging/systemd/check.sh
# They must be read without a complaint, and the coordinator's exposure must stay below a limit. Exit status 77 where
# systemd-analyze is missing.
set -eu
cd "$(dirname "$0")"

# Of ten; the worker runs whatever it is sent, so its bound only keeps it from getting worse unnoticed.
coordinator_limit=2.0
worker_limit=5.5

if ! command -v systemd-analyze >/dev/null; then
  echo "units: SKIPPED, for there is no systemd-analyze; on Debian: apt install systemd" >&2
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
check() { # check TITLE COMMAND…
  title=$1
  shift
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "units: FAILED: $title" >&2
  fi
}

# Programs must be there to be verified, and manual pages are not installed here.
mkdir "$work/bin"
printf '#!/bin/sh\n' >"$work/bin/lifeline"
chmod +x "$work/bin/lifeline"
for unit in coordinator worker; do
  sed -e "s|@bindir@|$work/bin|g" -e '/^Documentation=/d' "lifeline-$unit.service" \
    >"$work/lifeline-$unit.service"
done

silent() {
  systemd-analyze verify "$1" 2>&1 | grep -F "$(basename "$1")" && return 1
  return 0
}
exposure() { # exposure FILE LIMIT
  score=$(systemd-analyze security --offline=true --no-pager "$1" | sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')
  echo "units: $(basename "$1") has an exposure of ${score:-nothing} of 10, at most $2 are allowed"
  [ -n "$score" ] && awk -v a="$score" -v b="$2" 'BEGIN { exit !(a < b) }'
}
for unit in coordinator worker; do
  check "lifeline-$unit.service is read without a complaint" silent "$work/lifeline-$unit.service"
done
check "the coordinator's exposure" exposure "$work/lifeline-coordinator.service" "$coordinator_limit"
check "the worker's exposure" exposure "$work/lifeline-worker.service" "$worker_limit"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
