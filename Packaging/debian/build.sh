#!/bin/bash
# Makes the Debian package from a built program: PROGRAM=… Packaging/debian/build.sh [FOLDER]
#
# Needs no root. Two runs with one program and one SOURCE_DATE_EPOCH (else the last commit's time) give the same bytes.
# DEBFULLNAME and DEBEMAIL say who makes it, DEB_REVISION counts packages of one version.
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$(mkdir -p "${1:-.build/packages}" && cd "${1:-.build/packages}" && pwd)
: "${PROGRAM:?PROGRAM must name the program to package}"
PROGRAM=$(realpath "$PROGRAM")
cd "$root"

for tool in dpkg-deb dpkg-shlibdeps strip objdump; do
  command -v "$tool" >/dev/null || { echo "deb: $tool is missing; apt install dpkg-dev binutils" >&2; exit 1; }
done
if objdump -p "$PROGRAM" | grep -q 'NEEDED.*libswift'; then
  echo "deb: $PROGRAM needs a Swift runtime, which no Debian package has; build it with make program" >&2
  exit 1
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
version=$("${GENERATOR:-$PROGRAM}" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+[^ ]*' | head -n 1)-${DEB_REVISION:-1}
arch=$(dpkg --print-architecture)
maintainer="${DEBFULLNAME:-Lifeline packagers} <${DEBEMAIL:-packagers@lifeline.invalid}>"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/stage
doc=$stage/usr/share/doc/lifeline

DESTDIR=$stage PREFIX=/usr sysconfdir=/etc unitdir=/lib/systemd/system NO_LICENSE=1 PROGRAM=$PROGRAM \
  Packaging/install.sh >/dev/null
# The package makes its users itself, for systemd may not be there (a container, say).
rm -rf "$stage/usr/lib"
find "$stage/usr/share/man" -type f -exec gzip -9n {} +
gzip -9n "$doc/examples/config.toml"
mv "$doc/CHANGELOG.md" "$doc/changelog"
gzip -9n "$doc/changelog"
mv "$doc/README.Packaging.md" "$doc/README.Debian"
gzip -9n "$doc/README.md"
cat >"$work/changelog" <<END
lifeline ($version) unstable; urgency=medium

  * Version $version; changelog.gz beside this file tells what is new.

 -- $maintainer  $(date -R -d "@$SOURCE_DATE_EPOCH")
END
gzip -9nc "$work/changelog" >"$doc/changelog.Debian.gz"
install -m 644 Packaging/debian/copyright "$doc/copyright"
install -D -m 644 Packaging/debian/lintian-overrides "$stage/usr/share/lintian/overrides/lifeline"

# What the program is linked with, as the packages of this machine are called, with the versions that its symbols need.
mkdir "$work/source" "$work/source/debian"
printf 'Source: lifeline\n\nPackage: lifeline\nArchitecture: any\n' >"$work/source/debian/control"
depends=$(cd "$work/source" && dpkg-shlibdeps -O -e"$stage/usr/bin/lifeline" 2>"$work/shlibdeps" |
  sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { cat "$work/shlibdeps" >&2; exit 1; }

install -d -m 755 "$stage/DEBIAN"
{
  cat <<END
Package: lifeline
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(find "$stage" -path "$stage/DEBIAN" -prune -o -type f -printf '%s\n' | awk '{ n += int(($1 + 1023) / 1024) } END { print n }')
Depends: adduser, $depends
Recommends: ca-certificates
Section: admin
Priority: optional
Description: commands over a fleet of workers, none of them lost
 A coordinator keeps tasks in a durable store, workers on any number of
 machines run them, and everything else talks to the coordinator. Networks may
 be cut, workers killed and the coordinator restarted: each task still ends
 exactly once, continued from its last checkpoint.
 .
 This package has the one program that is coordinator, worker and client, and
 services for the first two. Installing it starts and enables none of them.
END
} >"$stage/DEBIAN/control"
(cd "$stage" && find etc -type f -printf '/%p\n' | sort) >"$stage/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 755 "Packaging/debian/$script" "$stage/DEBIAN/$script"; done
(cd "$stage" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) |
  grep -v ' etc/' >"$stage/DEBIAN/md5sums"

package=$out/lifeline_${version}_$arch.deb
# One thread, for what comes out of several depends on the machine.
dpkg-deb --root-owner-group --threads-max=1 -Zxz --build "$stage" "$package" >/dev/null
echo "$package"
