#!/bin/bash
# Takes the dashboard's picture for README.md, in two minutes: a fleet of 14 workers of which some die and return.
# Usage: Scripts/dashboard-picture.sh [PICTURE]      (usually Docs/dashboard.png)
set -euo pipefail
cd "$(dirname "$0")/.."
picture=$(realpath -m "${1:-Docs/dashboard.png}")
LIFELINE_DASHBOARD_PICTURE=$picture "${SWIFT:-swift}" test --disable-xctest --filter '/DashboardPictureTests/'
if [ ! "$picture" -nt "$0" ]; then
  echo "dashboard-picture: no picture was taken; is Chromium there? make deps-chromium installs it" >&2
  exit 1
fi
