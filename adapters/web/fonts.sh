#!/usr/bin/env bash
# Downloads the font packages of fonts.txt (39 MB, pinned by hash) and builds static/build/fonts from them.
# Does nothing when the fonts there were built from the same lists and script. Takes a Python that has fontTools.
#   bash adapters/web/fonts.sh [PYTHON] [further arguments of build_fonts.py, such as --extra FONT.ttf]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${1:-"$here/../../.venv/bin/python"}
shift || true
output="$here/static/build/fonts"
inputs=$(cat "$here/fonts.txt" "$here/build_fonts.py" <(printf '%s\n' "$@") | sha256sum | cut -d ' ' -f 1)
if [ -f "$output/manifest.json" ] && [ "$(cat "$output/inputs.sha256" 2>/dev/null || true)" = "$inputs" ]; then
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary :all: \
  --require-hashes --target "$work" --requirement "$here/fonts.txt"
"$python" "$here/build_fonts.py" --source "$work" --output "$output" "$@"
printf '%s\n' "$inputs" > "$output/inputs.sha256"
