# shellcheck shell=bash
# On a real Kubernetes.
# shellcheck disable=SC2154 # oracle is set by step_nix

# The whole way, from a flake to pods that serve.
step_e2e() {
  has_go || return 0
  niphas
  node_programs
  NIPHAS_ORACLE=$oracle ci/e2e
}

# The larger example, applied and running.
step_shop() {
  has_go || return 0
  niphas
  node_programs
  ci/shop
}

# Builds of the evaluation service, as Jobs on nodes.
step_eval_builds() {
  has_go || return 0
  node_programs
  cargo build --workspace --locked --quiet --bin niphas-eval
  NIPHAS_EVAL=$CARGO_TARGET_DIR/debug/niphas-eval ci/eval-builds
}

# The tutorial's commands, as they stand there.
step_tutorial() {
  has_go || return 0
  node_programs
  ci/tutorial
}
