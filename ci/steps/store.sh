# shellcheck shell=bash
# The node's store against real Nix, and its mounts.
# shellcheck disable=SC2154 # oracle is set by step_nix

step_store() {
  cargo test --locked -p niphas-store --test mounts -- --ignored
  cargo build --release --locked --quiet -p niphas-store --bins
  NIPHAS_ORACLE=$oracle NIPHAS_STORE_PROGRAM=$CARGO_TARGET_DIR/release/niphas-store \
    NIPHAS_EROFS_UTILS=$(ci/erofs-utils | tail -n 1) ci/store
}
