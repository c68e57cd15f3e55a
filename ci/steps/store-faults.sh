# shellcheck shell=bash
# The node's store under faults.
# shellcheck disable=SC2154 # oracle is set by step_nix

# kill -9, power cuts, full and read-only disks.
step_store_faults() {
  cargo build --release --locked --quiet -p niphas-store --bins
  NIPHAS_ORACLE=$oracle ci/store-faults
}
