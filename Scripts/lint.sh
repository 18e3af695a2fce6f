#!/bin/bash
# The house rules that the formatter does not know. Prints `file:line: why: the line` for each breach; exit status 1 then.
# Usage: Scripts/lint.sh [ROOT]
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

breaches=0

# rule WHY PATTERN UNLESS PATH…: no line of code in the Swift files under the paths may match, except
# where UNLESS matches it or the line after it (`using:` may stand there). Comments are not code.
rule() {
  local why=$1 pattern=$2 unless=$3
  shift 3
  local files=() path
  for path in "$@"; do
    [ -e "$path" ] && while IFS= read -r -d '' file; do files+=("$file"); done < <(find "$path" -type f -name '*.swift' -print0)
  done
  [ ${#files[@]} -gt 0 ] || return 0
  # By the environment, for -v would interpret the backslashes.
  WHY=$why PATTERN=$pattern UNLESS=$unless awk '
    BEGIN { why = ENVIRON["WHY"]; pattern = ENVIRON["PATTERN"]; unless = ENVIRON["UNLESS"] }
    function code(line) {
      sub(/^[[:space:]]*\/\/.*/, "", line)
      sub(/[[:space:]]\/\/.*/, "", line)
      return line
    }
    function judge(following) {
      if (held ~ pattern && (unless == "" || (held " " following) !~ unless)) {
        text = shown
        sub(/^[[:space:]]+/, "", text)
        printf "%s:%d: %s: %s\n", name, number, why, text
        found = 1
      }
    }
    FNR == 1 { judge(""); held = "" }
    { line = code($0); if (FNR > 1) judge(line); held = line; shown = $0; name = FILENAME; number = FNR }
    END { judge(""); exit found }
  ' "${files[@]}" || breaches=1
}

shopt -s nullglob
cores=(Sources/*Core Sources/Primitives Sources/Metrics Sources/Simulation)

rule "no Foundation in Sources; Glibc and the standard library do" \
  '(^|[[:space:]])import[[:space:]]+(Foundation|FoundationEssentials|Dispatch)([^[:alnum:]_]|$)' '' Sources
rule "a core imports no I/O, clock or lock; it is given values" \
  '(^|[[:space:]])import[[:space:]]+(struct |func |enum )?(Glibc|Musl|Darwin|Reactor|WebSocket|Coordination|Storage|Synchronization|CLibEv|CSQLite|CPostgreSQL|PostgreSQL|PostgresStorage)([^[:alnum:]_]|$)' \
  '' "${cores[@]}"
# `context.now` is a value that was handed in; `.now`, `Clock.now` and `now()` read a clock.
rule "a core reads no clock; time comes in as an Instant" \
  '((^|[^][:alnum:]_)>?!])\.now([^[:alnum:]_:]|$)|(^|[^[:alnum:]_])[A-Z][[:alnum:]_]*\.now([^[:alnum:]_]|$)|\.now\(|clock_gettime|gettimeofday|(^|[^[:alnum:]_.])time\(nil\))' \
  '' "${cores[@]}"
rule "a core draws no randomness of its own; pass the generator with using:" \
  '(\.random\(|\.randomElement\(|\.shuffled\(|\.shuffle\()' 'using:' "${cores[@]}"
rule "a core draws no randomness of its own; pass the generator with using:" \
  '(SystemRandomNumberGenerator|getrandom|getentropy|arc4random)' '' "${cores[@]}"
rule "a core starts no task and sleeps never" '(^|[^[:alnum:]_])(Task([[:space:]]*\{|\.)|usleep\(|sleep\()' '' "${cores[@]}"
rule "try! traps on what may well happen; handle the error" 'try!' '' Sources
rule "as! traps on a wrong guess; use as? or a better type" '(^|[^[:alnum:]_])as!' '' Sources

# A path that exists on one machine only, in anything that is published.
published=()
for path in Sources Tests Examples Benchmarks Docs Scripts Packaging .ci CLibEv Package.swift Makefile Dockerfile ./*.md; do
  [ -e "$path" ] && published+=("$path")
done
if [ ${#published[@]} -gt 0 ]; then
  if grep -rnIE --exclude-dir=.build '(^|[^[:alnum:]_.:/])/(home|root|Users|work|workspace|build)/' "${published[@]}" |
    sed -E 's/^([^:]*:[0-9]+):/\1: a path of one machine only; use a relative or temporary one: /' | grep .; then
    breaches=1
  fi
fi

if [ "$breaches" -ne 0 ]; then
  echo "lint: the lines above break the house rules." >&2
  exit 1
fi
echo "lint: house rules kept."
