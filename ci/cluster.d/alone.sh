# Suites run side by side, and the first that needs a part builds it for all.
# shellcheck shell=bash

alone() { # COMMAND ...
  mkdir -p "$(dirname "$PARTS")"
  (
    flock 9
    "$@"
  ) 9>"$PARTS.lock"
}
