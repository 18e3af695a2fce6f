# What the tests of the package share: to be read with `.` by bash.
# shellcheck shell=bash
passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
check() { # check TITLE COMMAND…
  local title=$1
  shift
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $title"
  else
    failed=$((failed + 1))
    echo "FAILED  $title"
    sed 's/^/        /' "$log" | tail -n 30
  fi
}
all() { # all COMMAND…: each a word for eval, and each must hold
  local command
  for command in "$@"; do
    eval "$command" || { echo "not so: $command"; return 1; }
  done
}
