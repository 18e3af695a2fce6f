#!/bin/bash
# Builds the documentation of the libraries into .build/docs, one archive each; a warning, such as a link to a symbol that
# is not there, is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
modules=(Reactor WebSocketCore WebSocket)

# The documentation compiler comes with the toolchain, beside the compiler.
docc=$(dirname "$(readlink -f "$(command -v "$swift")")")/docc
[ -x "$docc" ] || docc=$(command -v docc) || {
  echo "docs: there is no docc beside $swift nor on the PATH; it comes with the toolchains of swift.org" >&2
  exit 1
}

# The last one depends on the others.
"$swift" build --target "${modules[-1]}"
products=$("$swift" build --show-bin-path)
target=$("$swift" -print-target-info | sed -n 's/.*"unversionedTriple": "\(.*\)",.*/\1/p' | head -n 1)
maps=()
for map in CLibEv/module.modulemap Sources/C*/module.modulemap; do maps+=(-Xcc "-fmodule-map-file=$map"); done

status=0
for module in "${modules[@]}"; do
  graphs=.build/docs/$module.symbols
  rm -rf "$graphs" ".build/docs/$module.doccarchive"
  mkdir -p "$graphs"
  "$swift" symbolgraph-extract -module-name "$module" -I "$products/Modules" "${maps[@]}" -target "$target" \
    -minimum-access-level public -skip-inherited-docs -output-dir "$graphs"
  catalog=()
  [ -d "Sources/$module/$module.docc" ] && catalog=("Sources/$module/$module.docc")
  "$docc" convert "${catalog[@]}" --additional-symbol-graph-dir "$graphs" \
    --fallback-display-name "$module" --fallback-bundle-identifier "lifeline.$module" \
    --warnings-as-errors --output-path ".build/docs/$module.doccarchive" || status=1
done
[ "$status" -eq 0 ] || {
  echo "docs: the documentation has the problems above." >&2
  exit 1
}
echo "docs: ${modules[*]} are in .build/docs."
