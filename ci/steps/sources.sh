# shellcheck shell=bash
# Checks of the sources themselves.

# A source of more lines holds a second concept.
MOST_LINES=500

step_scripts() {
  local scripts long
  mapfile -t scripts < <(git ls-files ci .ci examples | xargs grep -lE '^#!.*\bbash$|^# shellcheck shell=bash$')
  shellcheck "${scripts[@]}"
  ci/words
  ci/variables
  long=$(git ls-files '*.rs' | grep /src/ | xargs wc -l | awk -v most="$MOST_LINES" '$1 > most && $2 != "total"')
  [[ -z $long ]] || { echo "sources of more than $MOST_LINES lines:"; echo "$long"; return 1; }
  python3 - <<'PYTHON'
import ast, pathlib, subprocess
for name in subprocess.run(["git", "ls-files", "ci"], capture_output=True, text=True, check=True).stdout.split():
    text = pathlib.Path(name).read_bytes()
    if name.endswith(".py") or text.startswith(b"#!/usr/bin/env python3"):
        ast.parse(text, name)
PYTHON
}

step_format() {
  cargo fmt --all --check
  ci/imports
}

step_clippy() {
  cargo clippy --workspace --all-targets --locked -- -D warnings
}

# The documentation can be made, and the crates depend on each other as it says.
step_docs() {
  ci/crate-graph
  RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
}
