# shellcheck shell=bash
# Attacks on the programs from outside, with the memory that deploy/ gives them.

step_security() {
  if ! unshare --mount --net --pid --fork --mount-proc true 2>/dev/null; then
    skip "the attacks need namespaces of their own, which this machine does not allow"
    return
  fi
  csi_build
  # A runtime that clears the flags of volume mounts; without it the suite does what it does by itself.
  if command -v go >/dev/null; then ci/runc >/dev/null; else skip "the newer runc is built with Go"; fi
  ci/security
}
