#!/bin/sh
# Installs the Debian packages of the C libraries that are missing; does nothing when none is.
# Usage: Scripts/deps.sh [PACKAGE…]        (others than those that Lifeline needs)
set -eu

packages=${*:-"libev-dev zlib1g-dev libssl-dev libsqlite3-dev libpq-dev"}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  # Not Debian: nothing is known about this system's packages, so the compiler has the last word.
  echo "deps: not a Debian system; needed is what Debian packages as: $packages."
  exit 0
fi

missing=
for package in $packages; do
  # An installed package's status ends in "installed"; a removed one is still known, with another status.
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
  [ "$status" = installed ] || missing="$missing $package"
done
missing=${missing# }

if [ -z "$missing" ]; then
  echo "deps: all present ($packages)."
  exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
  # A password can be asked for only where somebody can answer.
  if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    as_root=sudo
  else
    echo "deps: missing: $missing. Not allowed to install; as root, run: apt-get update && apt-get install -y $missing" >&2
    exit 1
  fi
fi

echo "deps: installing $missing"
install() {
  # shellcheck disable=SC2086 # the lists are meant to be split
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}
# Package lists that know every package are used as they are; fetching them takes longer than the installation.
# shellcheck disable=SC2086
if apt-get install -s -q --no-install-recommends $missing >/dev/null 2>&1 && install; then
  exit 0
fi
$as_root apt-get update -q
if ! install; then
  echo "deps: could not install $missing; as root, try: apt-get update && apt-get install -y $missing" >&2
  exit 1
fi
