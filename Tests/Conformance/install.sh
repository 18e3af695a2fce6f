#!/bin/sh
# Installs the Autobahn testsuite from PyPI for run.py, into a virtualenv of Python 2.7, which is all it runs on.
# Usage: Tests/Conformance/install.sh [DIRECTORY]   (.build/conformance/suite)
# Exit status: 0 it is there, 1 the installation failed, 2 wrong usage, 77 this machine has no Python 2.7.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -le 1 ] || { echo "usage: install.sh [DIRECTORY]" >&2; exit 2; }
target=${1:-$here/../../.build/conformance/suite}
mkdir -p "$target"
target=$(cd "$target" && pwd)

# Done is what these very requirements left at this very place; virtualenvs cannot be moved.
fingerprint="$target $(cat "$here"/requirements*.txt "$here/install.sh" | cksum)"
done_file=$target/installed
if [ -f "$done_file" ] && [ "$(cat "$done_file")" = "$fingerprint" ] && "$target/env/bin/python" -c ''; then
  exit 0
fi

# A Python 2.7 that can speak to PyPI: the one in $PYTHON2, one on the PATH, or one that pyenv installed.
is_usable() { "$1" -c 'import ssl, sys, zlib; assert sys.version_info[:2] == (2, 7)' 2>/dev/null; }
python2=
for candidate in ${PYTHON2:+"$PYTHON2"} python2.7 python2 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python2.7; do
  if is_usable "$candidate"; then python2=$candidate; break; fi
done
if [ -z "$python2" ]; then
  echo "conformance: no Python 2.7 with ssl and zlib is at hand, and the Autobahn testsuite runs on no other." >&2
  echo "conformance: install one ('pyenv install 2.7.18') or name one in PYTHON2." >&2
  exit 77
fi

echo "conformance: installing the Autobahn testsuite from PyPI with $python2 into .build, once" >&2
log=$target/install.log
rm -rf "$target/env" "$target/bootstrap" "$done_file"
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_USER PIP_REQUIRE_VIRTUALENV
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONWARNINGS=ignore

# Keeps the terminal quiet unless something goes wrong.
quietly() { # quietly WHAT COMMAND…
  what=$1
  shift
  "$@" >>"$log" 2>&1 && return
  echo "conformance: $what failed; the last lines of $log:" >&2
  tail -n 12 "$log" >&2
  exit 1
}

: >"$log"
# Not every Python 2.7 has pip; any pip can fetch the wheel.
fetch="-m pip download --quiet --no-deps --require-hashes --dest $target/bootstrap -r $here/requirements-bootstrap.txt"
# shellcheck disable=SC2086 # the words are meant to be split
"$python2" $fetch >>"$log" 2>&1 || quietly "downloading virtualenv" python3 $fetch
quietly "unpacking virtualenv" "$python2" -m zipfile -e "$target"/bootstrap/virtualenv-*.whl "$target/bootstrap"
quietly "making the virtualenv" "$python2" "$target/bootstrap/virtualenv.py" --no-download "$target/env"

pip_install="$target/env/bin/python -m pip install --no-deps --require-hashes --no-build-isolation"
# shellcheck disable=SC2086
quietly "installing the testsuite" $pip_install -r "$here/requirements.txt"
# shellcheck disable=SC2086
$pip_install -r "$here/requirements-fast.txt" >>"$log" 2>&1 ||
  echo "conformance: wsaccel could not be built (a C compiler and Python.h are needed); groups 9, 12 and 13 will be slow" >&2
quietly "starting the testsuite" "$target/env/bin/python" "$here/suite.py" --check
rm -rf "$target/bootstrap"
printf '%s\n' "$fingerprint" >"$done_file"
