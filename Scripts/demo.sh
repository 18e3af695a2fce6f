#!/bin/sh
set -eu
echo "demo: this version has no demonstration yet; the coordinator's command line comes first." >&2
exit 1
