#!/bin/bash
# Joins the dashboard's files into one page and writes it as the Swift source that the coordinator serves.
# Usage: Scripts/dashboard-embed.sh [SWIFT-FILE [PAGE]]      (PAGE: the joined page by itself, as HTML)
# A test compares what this writes with what is committed: run it after each change in Sources/Coordination/Dashboard/Page.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=Sources/Coordination/Dashboard
swift=${1:-$folder/DashboardPage.swift} page=${2:-}

# One script, in the order in which the parts need each other.
scripts=(basics model connection plots list words workers tasks detail page)

style=$(cat "$folder/Page/dashboard.css")
script=$(printf '"use strict";\n(() => {\n' && for name in "${scripts[@]}"; do cat "$folder/Page/$name.js"; done && printf '})();\n')
html=$(cat "$folder/Page/dashboard.html")

# What would end the Swift literal, or the element that holds it, cannot stand in the parts.
if grep -nE '"""|\\#' <<<"$style$script$html" || grep -niE '</(script|style)|<!--' <<<"$style$script"; then
  echo "dashboard-embed: the lines above cannot be embedded; write them another way" >&2
  exit 1
fi
case $html in
*'/*STYLE*/'*'/*SCRIPT*/'*) ;;
*)
  echo "dashboard-embed: dashboard.html has no place for style and script" >&2
  exit 1
  ;;
esac

head=${html%%'/*STYLE*/'*} rest=${html#*'/*STYLE*/'}
middle=${rest%%'/*SCRIPT*/'*} tail=${rest#*'/*SCRIPT*/'}

# Swift ends a literal's last line before the delimiter, so each part is exactly what stands between the quotes.
part() { printf '  static let %s = #"""\n%s\n"""#\n' "$1" "$2"; }
{
  printf '// swift-format-ignore-file\n// Written by Scripts/dashboard-embed.sh from the files in Page/. Change those.\n\n'
  printf '/// The parts of the page, in the order in which they stand in it.\nenum DashboardPage {\n'
  part head "$head"
  part style "$style"
  part middle "$middle"
  part script "$script"
  part tail "$tail"
  printf '}\n'
} >"$swift"
[ -z "$page" ] || printf '%s' "$head$style$middle$script$tail" >"$page"
