#!/bin/bash
# Measures an update of the dashboard in headless Chromium, with a real coordinator and a fleet of real connections.
# Usage: Scripts/dashboard-measure.sh [WORKERS [TASKS [UPDATES]]]      (usually 1000, 10000 and 60)
set -euo pipefail
cd "$(dirname "$0")/.."
export LIFELINE_DASHBOARD_WORKERS=${1:-1000} LIFELINE_DASHBOARD_TASKS=${2:-10000} LIFELINE_DASHBOARD_UPDATES=${3:-60}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "${SWIFT:-swift}" test --disable-xctest --filter '/DashboardSpeedTests/' >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
if ! grep '^dashboard: ' "$log"; then
  echo "dashboard-measure: nothing was measured; is Chromium there? make deps-chromium installs it" >&2
  exit 1
fi
