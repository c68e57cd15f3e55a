# shellcheck shell=bash
# The node's store against real Nix, and its mounts.
# shellcheck disable=SC2154 # oracle is set by step_nix

# What runs on nodes, as the tests were built: checked for overflow, and nothing more to build. With the tests named, too, since
# what their crates depend on has other features without them, and all would be built once more.
node_programs() {
  cargo build --workspace --locked --quiet --bins --tests
  export NIPHAS_NODE_PROGRAMS=$CARGO_TARGET_DIR/debug
}

step_store() {
  cargo test --workspace --locked --test mounts --test admission -- --ignored
  node_programs
  NIPHAS_ORACLE=$oracle NIPHAS_EROFS_UTILS=$(ci/erofs-utils | tail -n 1) ci/store
}
