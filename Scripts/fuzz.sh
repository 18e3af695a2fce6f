#!/bin/bash
# Builds the fuzz targets for libFuzzer and runs each for so many seconds, one on each processor; an input that breaks a
# promise is kept in Tests/Corpus, where `make test` replays it from then on. Exit status: 0 nothing was found, 1 something was.
# Usage: Scripts/fuzz.sh [SECONDS] [TARGET…]   (60, all)
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
seconds=${1:-60}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(frames request response deflate connection toml)
case $seconds in '' | *[!0-9]*) echo "fuzz: SECONDS is a number, not \"$seconds\"" >&2; exit 2 ;; esac

LIFELINE_FUZZ=1 "$swift" build -c release --scratch-path .build/fuzz --product fuzz >&2
program=$(LIFELINE_FUZZ=1 "$swift" build -c release --scratch-path .build/fuzz --show-bin-path)/fuzz
export SWIFT_BACKTRACE=enable=no # libFuzzer and the sanitizer report by themselves.

fuzz() { # fuzz TARGET
  local target=$1 found committed log options status
  # What libFuzzer finds worth keeping stays here from run to run; the committed corpus only grows by what is wrong.
  found=.build/fuzz/corpus/$target
  committed=Tests/Corpus/$target
  log=.build/fuzz/$target.log
  mkdir -p "$found" "$committed"
  options=(-max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
    -artifact_prefix="$committed/")
  [ -f "Tests/Fuzz/$target.dict" ] && options+=(-dict="Tests/Fuzz/$target.dict")
  status=0
  "$program" "$target" "${options[@]}" "$found" "$committed" >"$log" 2>&1 || status=$?
  if [ "$status" -eq 0 ]; then
    printf 'fuzz: %-10s nothing found: %s\n' "$target" "$(awk '
      / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:" || $i == "corp:") value[$i] = $(i + 1) }
      /stat::number_of_executed_units/ { runs = $2 }
      END { printf "%s runs, %s edges covered, a corpus of %s", runs, value["cov:"], value["corp:"] }' "$log")"
  else
    echo "fuzz: $target FAILED with status $status; the end of $log:"
    grep -vE '^#[0-9]+[[:space:]]+(NEW|REDUCE|pulse|RELOAD)|dictionary|# Uses' "$log" | tail -n 40
    return 1
  fi
}

lane() { # lane TARGET…: one after the other; the status is how many failed
  local target bad=0
  for target in "$@"; do fuzz "$target" || bad=$((bad + 1)); done
  return "$bad"
}

lanes=() pids=() bad=0 count=$(nproc)
for index in "${!targets[@]}"; do lanes[index % count]+=" ${targets[index]}"; done
for lane in "${lanes[@]}"; do
  # shellcheck disable=SC2086 # a lane is words
  lane $lane &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || bad=$((bad + $?)); done
echo "$((${#targets[@]} - bad)) passed, $bad failed"
[ "$bad" -eq 0 ]
