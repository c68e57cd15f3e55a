# shellcheck shell=bash
# The node's store against real Nix, and its mounts.
# shellcheck disable=SC2154 # oracle is set by step_nix

# What runs on nodes, and what its suites need. One command for all steps, so that dependencies are built once.
node_programs() {
  cargo build --release --locked --quiet -p niphas-csi -p niphas-store --bins --examples
}

step_store() {
  cargo test --workspace --locked --test mounts -- --ignored
  node_programs
  NIPHAS_ORACLE=$oracle NIPHAS_STORE_PROGRAM=$CARGO_TARGET_DIR/release/niphas-store \
    NIPHAS_EROFS_UTILS=$(ci/erofs-utils | tail -n 1) ci/store
}
