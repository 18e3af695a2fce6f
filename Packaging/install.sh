#!/bin/sh
# Installs Lifeline, or takes it away again: Packaging/install.sh [--uninstall]
#
# `make install` calls it, with the folders of the GNU coding standards as variables. The program is PROGRAM, which must be
# there; nothing is built here, so that this can run as root while the compiler belongs to somebody else. GENERATOR is a
# program of the same version that runs here, where PROGRAM is for another kind of machine.
set -eu
cd "$(dirname "$0")/.."
umask 022

: "${PROGRAM:?PROGRAM must name the program to install}"
GENERATOR=${GENERATOR:-$PROGRAM}
PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
bindir=${bindir:-$PREFIX/bin}
datadir=${datadir:-$PREFIX/share}
docdir=${docdir:-$datadir/doc/lifeline}
mandir=${mandir:-$datadir/man}
# Not below PREFIX: the program reads /etc/lifeline/config.toml, wherever it is itself.
sysconfdir=${sysconfdir:-/etc}
completiondir=${completiondir:-$datadir/bash-completion/completions}
unitdir=${unitdir:-$PREFIX/lib/systemd/system}
sysusersdir=${sysusersdir:-$PREFIX/lib/sysusers.d}

units="lifeline-coordinator lifeline-worker"
fail() {
  echo "install: $*" >&2
  exit 1
}

if [ "${1:-}" = --uninstall ]; then
  for unit in $units; do
    rm -f "$DESTDIR$unitdir/$unit.service"
  done
  # What an operator wrote there is not ours to remove.
  if cmp -s Packaging/config.toml "$DESTDIR$sysconfdir/lifeline/config.toml"; then
    rm -f "$DESTDIR$sysconfdir/lifeline/config.toml"
  fi
  rm -f "$DESTDIR$bindir/lifeline" "$DESTDIR$completiondir/lifeline" "$DESTDIR$sysusersdir/lifeline.conf" \
    "$DESTDIR$mandir"/man1/lifeline.1 "$DESTDIR$mandir"/man1/lifeline-*.1 "$DESTDIR$mandir"/man5/lifeline.*.5
  rm -rf "$DESTDIR$docdir"
  echo "install: removed from $DESTDIR$PREFIX; what services kept in /var/lib and /etc/lifeline stays."
  exit 0
fi

[ -x "$PROGRAM" ] || fail "there is no program $PROGRAM; do make program first"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install -d "$DESTDIR$bindir" "$DESTDIR$docdir" "$DESTDIR$unitdir" "$DESTDIR$sysusersdir" "$DESTDIR$sysconfdir/lifeline"
strip --strip-unneeded -o "$work/lifeline" "$PROGRAM"
install -m 755 "$work/lifeline" "$DESTDIR$bindir/lifeline"

for unit in $units; do
  sed -e "s|@bindir@|$bindir|g" "Packaging/systemd/$unit.service" >"$work/unit"
  install -m 644 "$work/unit" "$DESTDIR$unitdir/$unit.service"
done
# An operator's own settings outlive a new version.
[ -e "$DESTDIR$sysconfdir/lifeline/config.toml" ] ||
  install -m 644 Packaging/config.toml "$DESTDIR$sysconfdir/lifeline/config.toml"
install -m 644 Packaging/systemd/lifeline.sysusers "$DESTDIR$sysusersdir/lifeline.conf"

install -m 644 README.md CHANGELOG.md "$DESTDIR$docdir"
install -m 644 Packaging/README.md "$DESTDIR$docdir/README.Packaging.md"
# A package names the licence in its own file, where its system keeps the text.
[ -n "${NO_LICENSE:-}" ] || install -m 644 LICENSE "$DESTDIR$docdir"

# Last, so that all else is there even where a program knows nothing of these.
"$GENERATOR" docs man --to "$work/man" >/dev/null || fail "$GENERATOR makes no manual pages (lifeline docs man)"
"$GENERATOR" docs completion bash >"$work/completion" || fail "$GENERATOR makes no completion (lifeline docs completion bash)"
for page in "$work"/man/*.[1-8] "$work"/man/man?/*.[1-8]; do
  [ -e "$page" ] || continue
  section=man${page##*.}
  install -d "$DESTDIR$mandir/$section"
  install -m 644 "$page" "$DESTDIR$mandir/$section/"
done
"$GENERATOR" config example >"$work/config.toml" || fail "$GENERATOR makes no example (lifeline config example)"
install -D -m 644 "$work/config.toml" "$DESTDIR$docdir/examples/config.toml"
install -d "$DESTDIR$completiondir"
install -m 644 "$work/completion" "$DESTDIR$completiondir/lifeline"
echo "install: lifeline is in $DESTDIR$bindir."
