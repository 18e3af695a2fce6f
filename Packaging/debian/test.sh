#!/bin/bash
# Tests the Debian package: PROGRAM=… Packaging/debian/test.sh
#
# Builds it twice and compares, asks lintian, and then installs, uses, upgrades, removes and purges it on a clean Debian that
# is made for this in a temporary folder, from the archive that this machine's own apt uses. Needs root and, once,
# `apt install mmdebstrap`. Exit status 77 where it cannot run. ROOT_TAR=FILE keeps the clean system for the next time.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit
: "${PROGRAM:?PROGRAM must name the program to package}"
export PROGRAM

skip() {
  echo "package: SKIPPED, for $*" >&2
  exit 77
}
[ "$(id -u)" -eq 0 ] || skip "it makes a system of its own, which only root can"
command -v mmdebstrap >/dev/null || skip "there is no mmdebstrap; apt install mmdebstrap"

work=$(mktemp -d)
# Nothing is mounted here: what the tests mount lives and dies with their namespace.
. "$here/checks.sh"
trap 'rm -f "$log"; rm -rf --one-file-system "$work"' EXIT
finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

installed=$work/installed
into() (export DESTDIR=$installed PREFIX=/opt/lifeline; Packaging/install.sh "$@")
check "make install keeps to its folder, and the program runs there" all into \
  '[ "$("$installed/opt/lifeline/bin/lifeline" --version)" = "$("${GENERATOR:-$PROGRAM}" --version)" ]' \
  'grep -q "^ExecStart=/opt/lifeline/bin/lifeline " "$installed/opt/lifeline/lib/systemd/system/lifeline-worker.service"'
check "make uninstall takes away what it put there" all 'into --uninstall' '! find "$installed" -type f | grep .'

epoch=$(git log -1 --format=%ct 2>/dev/null || date +%s)
build() { # build REVISION FOLDER
  SOURCE_DATE_EPOCH=$epoch DEB_REVISION=$1 "$here/build.sh" "$work/$2"
}
elsewhere() (umask 077; TZ=Pacific/Auckland LC_ALL=tr_TR.UTF-8 build 1 second)
check "the package is built" build 1 first
check "it is built again, in another place, time zone and language" elsewhere
package=$(ls "$work"/first/*.deb)
check "both have the same bytes" cmp "$package" "$work/second/$(basename "$package")"
check "a later one is built" build 2 later
version=$(dpkg-deb -f "$package" Version)
case $(basename "$package") in "lifeline_${version}_$(dpkg --print-architecture).deb") named=true ;; *) named=false ;; esac
check "its name says version and architecture" $named
if command -v lintian >/dev/null; then
  check "lintian has nothing to say" lintian --fail-on error,warning,info "$package"
else
  echo "skipped lintian, which is not installed"
fi

# From this machine's own list of sources: which mirror that is, is not for this file to say.
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
sources=
for file in /etc/apt/sources.list.d/{debian,ubuntu}.sources /etc/apt/sources.list; do
  [ -s "$file" ] && { sources=$file; break; }
done
[ -n "$sources" ] || skip "apt has no list of sources"
root=$work/root
if [ -n "${ROOT_TAR:-}" ] && [ -e "$ROOT_TAR" ]; then
  mkdir "$root" && tar -C "$root" -xf "$ROOT_TAR"
else
  check "a clean system is made" mmdebstrap --mode=root --variant=minbase "$codename" "$root" "$sources"
  [ -z "${ROOT_TAR:-}" ] || tar -C "$root" -cf "$ROOT_TAR" .
fi
[ -x "$root/usr/bin/apt-get" ] || finish
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
# Which the installer of any system writes.
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
mkdir "$root/packages"
cp "$package" "$root/packages/first.deb"
cp "$work"/later/*.deb "$root/packages/later.deb"
cp "$here/checks.sh" "$here/use.sh" "$root/packages/"

# Takes up what a part within the clean system said, which ends with its count.
take() { # take WHAT FILE
  local last
  last=$(tail -n 1 "$2" 2>/dev/null)
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    sed '$d' "$2"
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
  else
    failed=$((failed + 1))
    echo "FAILED  $1 came to no end"
    tail -n 30 "$2"
  fi
}
within() { # within COMMAND…: in the clean system; whatever is started in there ends with it
  unshare --mount --pid --ipc --uts --fork --kill-child -- sh -c '
    root=$1 && shift && mount --make-rprivate / && mount -t proc proc "$root/proc" && mount -t tmpfs tmpfs "$root/run" &&
    exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
      DEBIAN_FRONTEND=noninteractive "$@"' sh "$root" "$@"
}

within VERSION="$version" /bin/bash /packages/use.sh >"$work/use" 2>&1
take "its use" "$work/use"

# Once more, as services of a systemd that is the first process of a container.
if command -v systemd-nspawn >/dev/null; then
  check "systemd comes into the clean system" within sh -c \
    'apt-get install -y -q --no-install-recommends systemd systemd-sysv dbus sqlite3 /packages/first.deb'
  cp "$here/boot.sh" "$root/packages/"
  cat >"$root/etc/systemd/system/lifeline-test.service" <<'END'
[Unit]
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
TimeoutStartSec=10min
ExecStart=/bin/bash /packages/boot.sh
StandardOutput=truncate:/packages/boot
StandardError=inherit
END
  timeout 900 systemd-nspawn --quiet --register=no --keep-unit --private-network --directory "$root" --boot \
    systemd.unit=multi-user.target systemd.wants=lifeline-test.service >"$work/console" 2>&1 </dev/null
  [ -s "$root/packages/boot" ] || cp "$work/console" "$root/packages/boot"
  take "its services" "$root/packages/boot"
else
  echo "skipped its services, for there is no systemd-nspawn; apt install systemd-container"
fi
finish
