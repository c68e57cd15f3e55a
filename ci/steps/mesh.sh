# shellcheck shell=bash
# Nodes that share what they fetch.
# shellcheck disable=SC2154 # oracle is set by step_nix

step_mesh() {
  if ! ip netns add niphas-mesh-probe 2>/dev/null; then
    skip "nodes of the mesh are network namespaces, which this machine does not allow"
    return
  fi
  ip netns del niphas-mesh-probe
  csi_build
  command -v nginx >/dev/null || { apt-get update -q && apt-get install --yes --no-install-recommends nginx-light; }
  # The other lane computes beside it.
  NIPHAS_ORACLE=$oracle ci/mesh --nodes 4 --zones 2 --busy
}

step_mesh_cluster() {
  has_go || return 0
  local packages=()
  command -v nginx >/dev/null || packages+=(nginx-light)
  command -v busybox >/dev/null || packages+=(busybox-static)
  ((${#packages[@]} == 0)) || { apt-get update -q && apt-get install --yes --no-install-recommends "${packages[@]}"; }
  node_programs
  NIPHAS_ORACLE=$oracle ci/mesh-cluster
}

step_mesh_members() {
  if ! command -v go >/dev/null; then
    skip "the API server is built with Go"
    return
  fi
  ci/cluster build
  node_programs
  ci/apiserver ci/mesh-members
}
