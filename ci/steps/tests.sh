# shellcheck shell=bash
# The tests, without real Nix and with it.
# shellcheck disable=SC2154 # oracle is set by step_nix

# The commands of README's Nth `sh` block.
readme_block() {
  awk -v wanted="$1" '/^```sh$/ { n++; inside = (n == wanted); next } /^```$/ { inside = 0 } inside' README.md
}

step_tests() {
  local command
  command=$(readme_block 2)
  [[ $command == *"cargo test"* ]] || { echo "README's second block of commands does not test: $command"; return 1; }
  echo "$command"
  bash -euc "$command"
}

# The same tests, and those that compare with real Nix.
step_differential() {
  NIPHAS_ORACLE=$oracle cargo test --workspace --locked
}

# Builds what the steps below run.
niphas() {
  cargo build --release --locked --quiet -p niphas
  NIPHAS=$CARGO_TARGET_DIR/release/niphas
  export NIPHAS
}

# The expectations of the evaluator's corpus are the newest Nix's.
step_corpus() {
  if [[ $("$oracle/nix" --version) == *" 2.34"* ]]; then
    NIPHAS_ORACLE=$oracle ci/corpus
  else
    skip "the corpus holds what Nix 2.34 gives"
  fi
}

# Nix's own language tests.
step_language_tests() {
  niphas
  local checkout=${NIPHAS_NIX_SOURCE:-$NIPHAS_CI_CACHE/nix-source}
  if [[ ! -d $checkout ]] &&
    ! git clone --quiet --depth 1 https://github.com/NixOS/nix "$checkout"; then
    rm -rf "$checkout"
    skip "no checkout of NixOS/nix: set NIPHAS_NIX_SOURCE"
    return
  fi
  ci/lang-tests "$checkout"
}
