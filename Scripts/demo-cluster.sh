#!/bin/sh
# Shows several coordinators on PostgreSQL, with the optimised program that make has just built: in network namespaces where
# they may be made, else on loopback addresses. Ends with 77 where PostgreSQL is not installed.
set -eu
cd "$(dirname "$0")/.."
program=$("${SWIFT:-swift}" build -c release --show-bin-path)/lifeline

found=
for folder in /usr/lib/postgresql/*/bin; do
  if [ -x "$folder/initdb" ]; then found=yes; fi
done
if [ -z "$found" ] && ! command -v initdb >/dev/null; then
  echo "demo-cluster: PostgreSQL is not installed, so this is skipped; make deps-postgresql installs it" >&2
  exit 77
fi

# As root a namespace for the network is enough; anybody else needs one for users around it, in which he stays who he is.
if [ "$(id -u)" = 0 ]; then enter="unshare --net"; else enter="unshare --user --map-current-user --keep-caps --net"; fi
# shellcheck disable=SC2016 # the inner shell is the one that knows its own processes
probe='
  ip link set lo up && ip link add name bridge type bridge || exit
  unshare --net sleep 5 &
  sleep 0.2
  ip link add cable type veth peer name end netns "$!" && nsenter --target "$!" --net ip link set end up
  status=$?
  kill "$!"
  exit "$status"'
# shellcheck disable=SC2086 # the words of a command line
if command -v ip >/dev/null && $enter sh -c "$probe" >/dev/null 2>&1; then
  exec $enter "$program" demo --cluster --network namespaces "$@"
fi
echo "demo-cluster: network namespaces are not allowed here, or iproute2 is not installed: loopback addresses are used"
exec "$program" demo --cluster --network loopback "$@"
