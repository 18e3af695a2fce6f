#!/bin/bash
# What Packaging/debian/test.sh does within the clean system; /packages holds the packages. Not for a system that is in use.
set -uo pipefail
cd /
. /packages/checks.sh
until_file() { # until_file PATTERN FILE: waits for a line, at most twenty seconds
  local left=400
  until grep -qE "$1" "$2" 2>/dev/null; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { echo "no $1 in $2:"; cat "$2"; return 1; }
    read -rt 0.05 <> <(:) || true
  done
}
as() { # as USER COMMAND…
  local user=$1
  shift
  setpriv --reuid "$user" --regid "$user" --init-groups --no-new-privs --inh-caps=-all -- "$@"
}
listing() { # Everything but what apt and dpkg note down, and what each start makes anew.
  find / -xdev \( -path /packages -o -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/lib/dpkg \
    -o -path /var/lib/apt -o -path /var/cache -o -path /var/log \) -prune -o -printf '%p\n' |
    grep -vE '^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|^/etc/\.pwd\.lock$|^/etc/ld\.so\.cache$' | sort
  cut -d: -f1 /etc/passwd /etc/group | sort
}

listing >/packages/before
check "apt takes its lists" apt-get update -q
check "apt installs it, with what it needs" apt-get install -y -q --no-install-recommends /packages/first.deb
check "the program says its version" all '[ "$(lifeline --version | grep -oE "[0-9]+\.[0-9]+\.[0-9]+[^ ]*")" = "${VERSION%-*}" ]'
check "no Swift runtime is needed" all '! ldd /usr/bin/lifeline | grep -E "not found|libswift"'
check "each service has a user of its own, without a shell" all \
  'getent passwd lifeline | grep -q ":/var/lib/lifeline:/usr/sbin/nologin$"' \
  'getent passwd lifeline-worker | grep -q ":/var/lib/lifeline-worker:/usr/sbin/nologin$"'
check "their folders are theirs" all \
  '[ "$(stat -c "%U %a" /var/lib/lifeline)" = "lifeline 750" ]' \
  '[ "$(stat -c "%U %a" /var/lib/lifeline-worker)" = "lifeline-worker 750" ]'
check "no service was enabled or started" all \
  '! find /etc/systemd -name "lifeline*" | grep .' '! grep -l lifeline /proc/[0-9]*/comm'
check "units, licence, changes and options are there" all \
  '[ -f /lib/systemd/system/lifeline-coordinator.service ]' '[ -f /lib/systemd/system/lifeline-worker.service ]' \
  '! grep -r "@[a-z]*dir@" /lib/systemd/system/lifeline-*' '[ -f /usr/share/doc/lifeline/copyright ]' \
  'zcat /usr/share/doc/lifeline/changelog.Debian.gz | grep -q "^lifeline ($VERSION)"' \
  'lifeline config check' 'zcat /usr/share/doc/lifeline/examples/config.toml.gz | grep -q "^#keys = "'
check "manual pages are there" all 'zcat /usr/share/man/man1/lifeline.1.gz | grep -q "^\.TH"' \
  '[ "$(ls /usr/share/man/man1/lifeline*.1.gz | wc -l)" -ge 2 ]'
check "bash completes its name" all \
  'bash -c "source /usr/share/bash-completion/completions/lifeline && complete -p lifeline"'

# Its parts, as its services would start them.
start_coordinator() { # start_coordinator OPTION…
  rm -f /packages/coordinator /packages/coordinator.log
  (cd /var/lib/lifeline && HOME=$PWD as lifeline lifeline coordinator "$@") \
    >/packages/coordinator 2>/packages/coordinator.log &
  coordinator=$!
}
start_worker() {
  rm -f /packages/worker /packages/worker.log
  (cd /var/lib/lifeline-worker && HOME=$PWD as lifeline-worker lifeline worker --worker-id clean \
    --state-dir /var/lib/lifeline-worker/outbox) >/packages/worker 2>/packages/worker.log &
  worker=$!
}
# The programs themselves: the shells around them pass nothing on.
processes() { grep -lx lifeline /proc/[0-9]*/comm 2>/dev/null | sed 's|/proc/\([0-9]*\)/.*|\1|'; }
stop_both() {
  # shellcheck disable=SC2046 # numbers are words
  kill -TERM $(processes)
  check "both end when they are told to" all "wait $worker" "wait $coordinator"
}

start_coordinator --port 0
check "a coordinator listens" until_file '^listening on ' /packages/coordinator
LIFELINE_COORDINATOR=$(sed -n 's/^listening on //p' /packages/coordinator)
export LIFELINE_COORDINATOR
check "it is healthy and ready" all '[ "$(lifeline health)" = ok ]' '[ "$(lifeline health --ready)" = ready ]'
start_worker
check "a worker registers" until_file 'registered' /packages/worker.log
check "a command runs there, as the worker's user" all \
  'lifeline run --patience 20 -- sh -c "id -un > /tmp/who; ! cat /var/lib/lifeline/lifeline.db"' \
  '[ "$(cat /tmp/who)" = lifeline-worker ]'
check "a command that fails is seen to" all '! lifeline run --patience 20 -- false'
stop_both
rm -f /tmp/who

# TLS and keys, in the words of the operators' page, up to the services themselves: there is no systemd here.
sed -n '/^```sh$/,/^```$/p' /usr/share/doc/lifeline/README.Debian | grep -v '^```' >/packages/first-start
check "the operators' page's commands make authority, certificate and keys" all \
  '[ -s /packages/first-start ]' 'sed -i "s/build\.example/localhost/" /packages/first-start' 'bash -eu /packages/first-start'
sed -i -E 's/^#(keys|tls-certificate|tls-key|tls-ca|api-key-file) = /\1 = /' /etc/lifeline/config.toml
check "what is set that way is in order" lifeline config check
start_coordinator --port 0
check "a coordinator with TLS and keys listens" until_file '^listening on wss://' /packages/coordinator
LIFELINE_COORDINATOR=wss://localhost:$(sed -n 's/^listening on .*://p' /packages/coordinator)
start_worker
check "a worker with a key registers" until_file 'registered' /packages/worker.log
check "whoever has a key runs a command, and nobody else" all \
  'lifeline run --patience 20 --api-key-file /etc/lifeline/ops.key -- true' '! lifeline run --patience 5 -- true'
check "keys can be read by whom they are for" all \
  'as lifeline-worker cat /etc/lifeline/worker.key >/dev/null' '! as lifeline-worker cat /etc/lifeline/lifeline.keys' \
  '! as lifeline-worker cat /etc/lifeline/certs/server-key.pem' '! as lifeline-worker cat /etc/lifeline/ops.key'
stop_both

check "a later package is an upgrade, and keeps what was set" all \
  'apt-get install -y -q --no-install-recommends /packages/later.deb' 'dpkg-query -W lifeline | grep -q -- "-2$"' \
  'grep -q "^keys = " /etc/lifeline/config.toml' '[ -f /var/lib/lifeline/lifeline.db ]'
check "removing it keeps options, keys and tasks" all 'apt-get remove -y -q lifeline' '[ ! -e /usr/bin/lifeline ]' \
  '[ -f /etc/lifeline/config.toml ]' '[ -f /etc/lifeline/lifeline.keys ]' '[ -f /var/lib/lifeline/lifeline.db ]'
check "purging it works" apt-get purge -y -q lifeline
check "what it brought with it goes as well" apt-get autoremove --purge -y -q
listing >/packages/after
check "then nothing is left" diff /packages/before /packages/after
echo "$passed passed, $failed failed"
