#!/bin/sh
# Prints nothing when a recent enough Swift is found, else one line that says what is missing. Exit status 1 then.
set -eu

swift=${SWIFT:-swift}
needed="Lifeline needs Swift 6.2 or newer"
where="get it at https://swift.org/install, then run make again"

if ! found=$(command -v "$swift"); then
  echo "$needed and there is no '$swift' on the PATH: $where"
  exit 1
fi

version=$("$swift" --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | head -n 1) || true
if [ -z "$version" ]; then
  # OpenStack's client has the same name.
  echo "$needed and '$found' does not answer --version as a Swift compiler: $where"
  exit 1
fi

major=${version% *}
minor=${version#* }
if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 2 ]; }; then
  echo "$needed and '$found' is $major.$minor: $where"
  exit 1
fi
