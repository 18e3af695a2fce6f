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
# Not below PREFIX: systemd's ConfigurationDirectory is /etc, wherever the program is.
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
    # What an operator wrote there is not ours to remove.
    default=$DESTDIR$sysconfdir/default/$unit
    if cmp -s "Packaging/systemd/$unit.default" "$default"; then rm -f "$default"; fi
  done
  rm -f "$DESTDIR$bindir/lifeline" "$DESTDIR$completiondir/lifeline" "$DESTDIR$sysusersdir/lifeline.conf" \
    "$DESTDIR$mandir"/man1/lifeline.1 "$DESTDIR$mandir"/man1/lifeline-*.1 "$DESTDIR$mandir"/man5/lifeline.*.5
  rm -rf "$DESTDIR$docdir"
  echo "install: removed from $DESTDIR$PREFIX; what services kept in /var/lib and /etc/lifeline stays."
  exit 0
fi

[ -x "$PROGRAM" ] || fail "there is no program $PROGRAM; do make program first"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install -d "$DESTDIR$bindir" "$DESTDIR$docdir" "$DESTDIR$unitdir" "$DESTDIR$sysusersdir" "$DESTDIR$sysconfdir/default"
strip --strip-unneeded -o "$work/lifeline" "$PROGRAM"
install -m 755 "$work/lifeline" "$DESTDIR$bindir/lifeline"

for unit in $units; do
  sed -e "s|@bindir@|$bindir|g" -e "s|@sysconfdir@|$sysconfdir|g" "Packaging/systemd/$unit.service" >"$work/unit"
  install -m 644 "$work/unit" "$DESTDIR$unitdir/$unit.service"
  # An operator's own settings outlive a new version.
  [ -e "$DESTDIR$sysconfdir/default/$unit" ] ||
    install -m 644 "Packaging/systemd/$unit.default" "$DESTDIR$sysconfdir/default/$unit"
done
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
install -d "$DESTDIR$completiondir"
install -m 644 "$work/completion" "$DESTDIR$completiondir/lifeline"
echo "install: lifeline is in $DESTDIR$bindir."
