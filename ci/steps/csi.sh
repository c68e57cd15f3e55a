# shellcheck shell=bash
# The CSI driver: the official conformance suite, what pods get, and bad days.
# shellcheck disable=SC2154 # oracle is set by step_nix

csi_build() {
  node_programs
  command -v runc >/dev/null || apt-get install --yes --no-install-recommends runc
}

step_csi_sanity() {
  if ! command -v go >/dev/null; then
    skip "the CSI conformance suite needs Go"
    return
  fi
  csi_build
  NIPHAS_ORACLE=$oracle ci/csi-sanity
}

step_csi() {
  csi_build
  local parts
  if command -v go >/dev/null; then
    # For the base image: the containerd of the tests' cluster.
    ci/cluster build
    parts=$(ci/cluster env | sed -n 's/^NIPHAS_CLUSTER_PARTS=//p')
  fi
  PATH=${parts:+$parts:}$PATH NIPHAS_ORACLE=$oracle ci/csi
}

step_csi_faults() {
  csi_build
  NIPHAS_ORACLE=$oracle ci/csi-faults
}
