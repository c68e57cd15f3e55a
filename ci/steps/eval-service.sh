# shellcheck shell=bash
# shellcheck disable=SC2154 # oracle is set by step_nix
# The evaluation service, and the parts of it that need programs of their own to be tested with.

# All of it, against a real API server.
step_eval_service() {
  has_go || return 0
  cargo build --workspace --locked --quiet --bin niphas-eval
  NIPHAS_EVAL=$CARGO_TARGET_DIR/debug/niphas-eval ci/eval-service
}

# The same, killed at random moments.
step_eval_faults() {
  has_go || return 0
  cargo build --workspace --locked --quiet --bin niphas-eval
  NIPHAS_EVAL=$CARGO_TARGET_DIR/debug/niphas-eval ci/eval-faults
}

# The client of Git hosts, Git LFS, and a real Gitea.
step_forges() {
  niphas
  if command -v go >/dev/null; then NIPHAS_ORACLE=$oracle ci/forges; else skip "Gitea is built with Go, which is not here"; fi
}

# The pages in a browser.
step_pages() {
  [[ -n ${NIPHAS_CHROMIUM-} ]] || command -v chromium >/dev/null ||
    { apt-get update -q && apt-get install --yes --no-install-recommends chromium; }
  ci/pages
  ci/options-page
}
