#!/bin/sh
# Builds or installs the servers that `make bench-peers` compares with, into DIRECTORY (.build/peers). A peer that
# cannot be had is skipped and said so, never an error: DIRECTORY/NAME.skipped tells why.
# Usage: Benchmarks/Peers/install.sh [DIRECTORY]
set -u
cd "$(dirname "$0")/../.."
sources=Benchmarks/Peers
directory=${1:-${LIFELINE_PEERS:-.build/peers}}
mkdir -p "$directory"
compiler=${CC:-cc}

ready() {
  rm -f "$directory/$1.skipped"
  echo "peers: $1: ready"
}

skip() {
  rm -f "$directory/$1"
  echo "$2" >"$directory/$1.skipped"
  echo "peers: $1: skipped: $2"
}

# compile NAME SOURCE LIBRARY…: done only when the source is newer.
compile() {
  name=$1 source=$2
  shift 2
  [ -x "$directory/$name" ] && [ ! "$source" -nt "$directory/$name" ] && return 0
  "$compiler" -O3 -o "$directory/$name" "$source" "$@" >"$directory/$name.log" 2>&1
}

# Debian's part: what is missing is installed where that is allowed.
Scripts/deps.sh libwebsockets-dev libuv1 >"$directory/deps.log" 2>&1

if compile epoll-echo "$sources/epoll-echo.c" -lcrypto; then
  ready epoll-echo
else
  skip epoll-echo "$compiler cannot build it, see $directory/epoll-echo.log; it needs OpenSSL's headers (libssl-dev)"
fi

if compile libwebsockets-echo "$sources/libwebsockets-echo.c" -lwebsockets; then
  ready libwebsockets-echo
else
  skip libwebsockets-echo "$compiler cannot build it; it needs libwebsockets' headers (libwebsockets-dev)"
fi

# PyPI's part, in an environment of its own.
venv=$directory/venv
problem=
if [ ! -x "$venv/bin/python" ] && ! python3 -m venv "$venv" >"$directory/venv.log" 2>&1; then
  problem="python3 -m venv failed, see $directory/venv.log (Debian: python3-venv)"
fi

# python_peer MODULE: an import that fails is installed once.
python_peer() {
  if [ -n "$problem" ]; then
    skip "$1" "$problem"
  elif "$venv/bin/python" -c "import $1" 2>/dev/null ||
    { "$venv/bin/pip" install -q --disable-pip-version-check "$1" >"$directory/$1.log" 2>&1 &&
      "$venv/bin/python" -c "import $1" 2>/dev/null; }; then
    ready "$1"
  else
    skip "$1" "pip cannot install it, see $directory/$1.log"
  fi
}
python_peer picows
python_peer websockets

# uWebSockets: the native library out of the package `socketify`; the package's Python is not used.
library=$directory/libsocketify.so
if [ ! -f "$library" ] && [ -z "$problem" ]; then
  rm -rf "$directory/socketify"
  "$venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$directory/socketify" socketify \
    >"$directory/uwebsockets-echo.log" 2>&1 &&
    "$venv/bin/python" "$sources/extract_library.py" "$directory/socketify" "$library" \
      >>"$directory/uwebsockets-echo.log" 2>&1
fi
if [ ! -f "$library" ]; then
  skip uwebsockets-echo "${problem:-no native library from PyPI's socketify, see $directory/uwebsockets-echo.log}"
elif ! compile uwebsockets-echo "$sources/uwebsockets-echo.c" -ldl; then
  skip uwebsockets-echo "$compiler cannot build it, see $directory/uwebsockets-echo.log"
elif ! problem=$("$directory/uwebsockets-echo" "$library" check 2>&1); then
  skip uwebsockets-echo "$problem"
else
  ready uwebsockets-echo
fi
