#!/bin/bash
# What Packaging/debian/test.sh does within the clean system; /packages holds the packages. Not for a system that is in use.
set -uo pipefail
cd /
passed=0
failed=0
log=/packages/log
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
  '[ -f /etc/default/lifeline-coordinator ]' '[ -f /etc/default/lifeline-worker ]'
check "manual pages are there" all 'zcat /usr/share/man/man1/lifeline.1.gz | grep -q "^\.TH"' \
  '[ "$(ls /usr/share/man/man1/lifeline*.1.gz | wc -l)" -ge 2 ]'
check "bash completes its name" all \
  'bash -c "source /usr/share/bash-completion/completions/lifeline && complete -p lifeline"'

# Its parts, as its services would start them.
(cd /var/lib/lifeline && as lifeline lifeline coordinator --port 0 --store /var/lib/lifeline/lifeline.db) \
  >/packages/coordinator 2>/packages/coordinator.log &
coordinator=$!
check "a coordinator listens" until_file '^listening on ' /packages/coordinator
LIFELINE_COORDINATOR=$(sed -n 's/^listening on //p' /packages/coordinator)
export LIFELINE_COORDINATOR
check "it is healthy and ready" all '[ "$(lifeline health)" = ok ]' '[ "$(lifeline health --ready)" = ready ]'
(cd /var/lib/lifeline-worker && as lifeline-worker lifeline worker --worker-id clean --slots 2 \
  --state-dir /var/lib/lifeline-worker/outbox) >/packages/worker 2>/packages/worker.log &
worker=$!
check "a worker registers" until_file 'registered' /packages/worker.log
check "a command runs there, as the worker's user" all \
  'lifeline run --patience 20 -- sh -c "id -un > /tmp/who; ! cat /var/lib/lifeline/lifeline.db"' \
  '[ "$(cat /tmp/who)" = lifeline-worker ]'
check "a command that fails is seen to" all '! lifeline run --patience 20 -- false'
# As these started them: the shells around them pass nothing on.
processes() { grep -lx lifeline /proc/[0-9]*/comm 2>/dev/null | sed 's|/proc/\([0-9]*\)/.*|\1|'; }
kill -TERM $(processes)
check "both end when they are told to" all "wait $worker" "wait $coordinator"
rm -f /tmp/who

# TLS and keys, in the words of the operators' page.
check "authority, certificate and keys are made, and used" bash -euc '
  cd /etc/lifeline
  lifeline certs --host localhost --directory /etc/lifeline/certs
  lifeline keys add rack7 --role worker --keys lifeline.keys > worker.key
  lifeline keys add ops --role admin --keys lifeline.keys > ops.key'

echo '# changed by the operator' >>/etc/default/lifeline-worker
check "a later package is an upgrade, and keeps changed options" all \
  'apt-get install -y -q --no-install-recommends /packages/later.deb' 'lifeline --version' \
  'grep -q "changed by the operator" /etc/default/lifeline-worker' '[ -f /var/lib/lifeline/lifeline.db ]'
check "removing it keeps options, keys and tasks" all 'apt-get remove -y -q lifeline' '[ ! -e /usr/bin/lifeline ]' \
  '[ -f /etc/default/lifeline-worker ]' '[ -f /var/lib/lifeline/lifeline.db ]' '[ -d /etc/lifeline ]'
check "purging it works" apt-get purge -y -q lifeline
check "what it brought with it goes as well" apt-get autoremove --purge -y -q
listing >/packages/after
check "then nothing is left" diff /packages/before /packages/after
echo "$passed passed, $failed failed"
