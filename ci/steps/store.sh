# shellcheck shell=bash
# The node's store against real Nix, and its mounts.
# shellcheck disable=SC2154 # oracle is set by step_nix

node_programs() {
  NIPHAS_NODE_PROGRAMS=$(ci/node-programs)
  export NIPHAS_NODE_PROGRAMS
}

step_store() {
  cargo test --workspace --locked --test mounts -- --ignored
  node_programs
  NIPHAS_ORACLE=$oracle NIPHAS_EROFS_UTILS=$(ci/erofs-utils | tail -n 1) ci/store
}
