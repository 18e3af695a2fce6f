#!/bin/bash
# What Packaging/debian/test.sh does under the clean system's own systemd; its unit writes what this says to /packages/boot.
# Not for a system that is in use.
set -uo pipefail
cd /
. /packages/checks.sh

coordinator=lifeline-coordinator.service
worker=lifeline-worker.service
property() { systemctl show --property "$2" --value "$1"; }
until_property() { # until_property UNIT PROPERTY PATTERN: at most a minute
  local left=600
  until property "$1" "$2" | grep -qE "$3"; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { systemctl status "$1" --no-pager; return 1; }
    sleep 0.1
  done
}

# The container's network is its own, so the usual port is free.
url=ws://localhost:8765
check "the coordinator starts" systemctl start "$coordinator"
check "when its start is over, it listens" lifeline health --ready --timeout 1
check "its status says where, and how it fares" until_property "$coordinator" StatusText "^ws://.*:8765: 0 workers"
check "the worker starts, and is registered" all "systemctl start $worker" \
  "until_property $worker StatusText '^[^ ]+ works for $url: 0 of [0-9]+ slots used'"
check "a command runs, as the worker's user and with nothing of the manager's" all \
  "lifeline run --patience 20 -- sh -c '! env | grep -e NOTIFY_ -e WATCHDOG_; id -un >/var/lib/lifeline-worker/who'" \
  '[ "$(cat /var/lib/lifeline-worker/who)" = lifeline-worker ]'
check "a command cannot read the store, nor change the system" lifeline run --patience 20 -- sh -c \
  '! cat /var/lib/lifeline/lifeline.db && ! touch /usr/bin/lifeline && ! ls /home && ! ls /root'
check "a reload leaves it running" all "systemctl reload $coordinator" \
  "until_property $coordinator ActiveState '^active$'" "lifeline health --ready" \
  "[ $(property "$coordinator" MainPID) = \"\$(property $coordinator MainPID)\" ]"
before=$(property "$coordinator" MainPID)
kill -KILL "$before"
check "killed, it is started again, and the worker comes back" all \
  "until_property $coordinator NRestarts '^1$'" "until_property $coordinator StatusText ': 1 workers'"
# A minute is long for a test; what it does is the same.
mkdir -p /run/systemd/system/$coordinator.d
printf '[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n' >/run/systemd/system/$coordinator.d/test.conf
systemctl daemon-reload
check "it goes on giving signs of life" all "systemctl restart $coordinator" \
  "before=\$(property $coordinator WatchdogTimestampMonotonic)" \
  "until_property $coordinator StatusText ': 1 workers'" \
  "[ \"\$(property $coordinator WatchdogTimestampMonotonic)\" -gt \"\$before\" ]" "[ \"\$(property $coordinator NRestarts)\" = 0 ]"
kill -STOP "$(property "$coordinator" MainPID)"
check "standing still, it is started again" all \
  "until_property $coordinator NRestarts '^1$'" "until_property $coordinator StatusText ': 1 workers'"
check "a backup can be made while it runs" all \
  "runuser -u lifeline -- sqlite3 /var/lib/lifeline/lifeline.db \".backup '/var/lib/lifeline/backup.db'\"" \
  '[ "$(sqlite3 /var/lib/lifeline/backup.db "PRAGMA integrity_check")" = ok ]'
check "both stop in order" all "systemctl stop $worker $coordinator" \
  "[ \"\$(property $worker Result)\" = success ]" "[ \"\$(property $coordinator Result)\" = success ]" \
  "! pidof lifeline"
check "the journal tells of nothing that was denied" all \
  '! journalctl --no-pager -u "lifeline-*" | grep -iE "SIGSYS|status=31|Operation not permitted|Permission denied|cannot be told"'
echo "$passed passed, $failed failed"
