# shellcheck shell=bash
# The node's store under faults.
# shellcheck disable=SC2154 # oracle is set by step_nix

# kill -9, power cuts, full and read-only disks.
step_store_faults() {
  node_programs
  # A full run has 200 kills and 25 cuts, which are ci/store-faults' own defaults.
  NIPHAS_ORACLE=$oracle ci/store-faults --kills 60 --cuts 10
}
