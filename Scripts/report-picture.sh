#!/bin/bash
# Takes a picture of a report.html in headless Chromium. Neither building nor testing needs it.
# Usage: Scripts/report-picture.sh REPORT.html PICTURE.png [WIDTH [HEIGHT [light|dark]]]
#   REPORT_BROWSER=NAME uses another Chromium-like browser.
set -euo pipefail

if [ $# -lt 2 ]; then
  sed -n '2,4s/^# //p' "$0" >&2
  exit 2
fi
page=$1 picture=$2 width=${3:-1280} height=${4:-1600} theme=${5:-light}

browser=${REPORT_BROWSER:-}
for name in chromium chromium-browser google-chrome; do
  [ -n "$browser" ] || browser=$(command -v "$name" || true)
done
if [ -z "$browser" ]; then
  echo "report-picture: no Chromium found; install it (apt-get install chromium) or set REPORT_BROWSER" >&2
  exit 1
fi
[ -f "$page" ] || { echo "report-picture: $page is not a file" >&2; exit 1; }

profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
flags=(--headless --disable-gpu --hide-scrollbars --no-first-run --user-data-dir="$profile" --window-size="$width,$height")
# Chromium's sandbox refuses to work for root, as in a container; the page has no script and is our own.
[ "$(id -u)" -ne 0 ] || flags+=(--no-sandbox)
case $theme in
light) flags+=(--blink-settings=preferredColorScheme=1) ;;
dark) flags+=(--blink-settings=preferredColorScheme=0) ;;
*)
  echo "report-picture: the theme is light or dark, not $theme" >&2
  exit 2
  ;;
esac
rm -f "$picture"
if ! "$browser" "${flags[@]}" --screenshot="$(realpath -m "$picture")" "file://$(realpath "$page")" 2>"$profile/log" >&2 ||
  [ ! -s "$picture" ]; then
  cat "$profile/log" >&2
  echo "report-picture: $browser took no picture of $page" >&2
  exit 1
fi
