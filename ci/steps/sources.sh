# shellcheck shell=bash
# Checks of the sources themselves.

step_scripts() {
  local scripts
  mapfile -t scripts < <(git ls-files ci .ci examples | xargs grep -lE '^#!.*\bbash$|^# shellcheck shell=bash$')
  shellcheck "${scripts[@]}"
  ci/words
  ci/variables
  python3 - <<'PYTHON'
import ast, pathlib, subprocess
for name in subprocess.run(["git", "ls-files", "ci"], capture_output=True, text=True, check=True).stdout.split():
    text = pathlib.Path(name).read_text()
    if name.endswith(".py") or text.startswith("#!/usr/bin/env python3"):
        ast.parse(text, name)
PYTHON
}

step_format() {
  cargo fmt --all --check
}

step_clippy() {
  cargo clippy --workspace --all-targets --locked -- -D warnings
}

# The documentation can be made, and the crates depend on each other as it says.
step_docs() {
  ci/crate-graph
  RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
}
