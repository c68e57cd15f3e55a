# shellcheck shell=bash
# Builds: the same as Nix gives, and nothing gets out.
# shellcheck disable=SC2154 # oracle is set by step_nix

build_tools() {
  local packages=() program
  declare -A package_of=([busybox]=busybox-static [zstd]=zstd [ip]=iproute2 [gcc]=gcc [make]=make)
  for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || packages+=("${package_of[$program]}")
  done
  ((${#packages[@]} == 0)) || { apt-get update -q && apt-get install --yes --no-install-recommends "${packages[@]}"; }
  niphas
}

# What builders see is what Nix shows them, and the outputs, exit codes, messages and logs of some hundred derivations are
# the same.
step_build_parity() {
  if [[ $("$oracle/nix" --version) != *" 2.34"* ]]; then
    skip "builds are compared with Nix 2.34"
    return
  fi
  build_tools
  NIPHAS_ORACLE=$oracle ci/build-environment
  NIPHAS_ORACLE=$oracle ci/build-parity
  # What is taken from a store of Nix, and what not.
  NIPHAS_ORACLE=$oracle ci/build-inputs
  NIPHAS_ORACLE=$oracle ci/build-outputs
}

# A builder sees the same world as in Nix's sandbox: as root, as a user, and in a container.
step_build_sandbox() {
  if [[ $("$oracle/nix" --version) != *" 2.34"* ]]; then
    skip "what builders see is compared with Nix 2.34"
    return
  fi
  local packages=() program
  declare -A package_of=([busybox]=busybox-static [gcc]=gcc [runc]=runc)
  for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || packages+=("${package_of[$program]}")
  done
  ((${#packages[@]} == 0)) || { apt-get update -q && apt-get install --yes --no-install-recommends "${packages[@]}"; }
  cargo build --workspace --locked --quiet --example run-builder
  NIPHAS_ORACLE=$oracle NIPHAS_RUN_BUILDER=$CARGO_TARGET_DIR/debug/examples/run-builder ci/build-sandbox
  NIPHAS_ORACLE=$oracle NIPHAS_RUN_BUILDER=$CARGO_TARGET_DIR/debug/examples/run-builder ci/build-sandbox --needed
}

# Builders that try to get out, and a builder that is killed.
step_build_attacks() {
  if ! unshare --mount --net --pid --fork --mount-proc true 2>/dev/null; then
    skip "the attacks need namespaces of their own, which this machine does not allow"
    return
  fi
  build_tools
  ci/build-attacks --kills 30
}

# The sandbox, and its limits of memory and processes, where control groups of version 2 give them.
step_build_limits() {
  if [[ $(uname -m) != x86_64 && ! -e /sys/fs/cgroup/cgroup.controllers ]]; then
    skip "limits of builds need control groups of version 2, and user-mode-linux is one of x86_64"
    return
  fi
  build_tools
  # The kernel is an older one, too.
  env "CARGO_TARGET_$(uname -m | tr '[:lower:]' '[:upper:]')_UNKNOWN_LINUX_GNU_RUNNER=$root/ci/cgroup-v2" \
    cargo test --workspace --locked --quiet --test sandbox -- a_ outputs inputs_are_shown_read limits signals killed
  ci/cgroup-v2 ci/build-attacks --as root memory shared-memory fork-bomb
}

# Builds in a pod of a real cluster, without capabilities, under the seccomp profile that we ship.
step_build_pod() {
  has_go || return 0
  build_tools
  ci/seccomp-profile
  local compared=$oracle
  [[ $("$oracle/nix" --version) == *" 2.34"* ]] || { skip "what builders see in a pod is compared with Nix 2.34" && compared=''; }
  NIPHAS_ORACLE=$compared ci/build-pod
}

# A tree of packages from source, by our builder alone, and the same by Nix.
step_build_bootstrap() {
  build_tools
  NIPHAS_ORACLE=$oracle ci/build-bootstrap --compare
}
