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

# The tests that compare with real Nix, where there is one: those whose sources ask for it. The others ran already.
step_differential() {
  local file tests=()
  for file in $(git grep -lE 'NIPHAS_ORACLE|\boracle\(\)' -- '*/tests/*.rs' ':!*/tests/*/*'); do
    tests+=(--test "$(basename "$file" .rs)")
  done
  ((${#tests[@]})) || { echo "no test asks for real Nix"; return 1; }
  echo "${tests[*]}"
  NIPHAS_ORACLE=$oracle cargo test --workspace --locked "${tests[@]}"
}

# Builds what the steps below run, unless README's first command did.
niphas() {
  [[ -n ${first_command_built-} ]] || cargo build --release --locked --quiet -p niphas
  export NIPHAS=$CARGO_TARGET_DIR/release/niphas
}

# What later steps share, so that none of them waits for a build of another.
step_programs() {
  niphas
  node_programs
  if command -v go >/dev/null; then ci/cluster build argocd; fi
}

# The expectations of the evaluator's corpus are the newest Nix's.
step_corpus() {
  if [[ $("$oracle/nix" --version) == *" 2.34"* ]]; then
    NIPHAS_ORACLE=$oracle ci/corpus
  else
    skip "the corpus holds what Nix 2.34 gives"
  fi
}

# A checkout of OWNER/NAME in the folder NIPHAS_SOURCES, which CI fills as far as it can.
checkout() { # OWNER/NAME
  export NIPHAS_SOURCES=${NIPHAS_SOURCES:-$NIPHAS_CI_CACHE/sources}
  source_folder=$NIPHAS_SOURCES/${1/\//+}
  [[ -d $source_folder ]] ||
    GIT_TERMINAL_PROMPT=0 git clone --quiet --depth 1 "https://github.com/$1" "$source_folder" 2>/dev/null || {
      skip "no checkout of $1: put one into NIPHAS_SOURCES as ${1/\//+}"
      return 1
    }
}

# Nix's own language tests.
step_language_tests() {
  niphas
  if checkout NixOS/nix; then ci/lang-tests "$source_folder"; fi
}

# nixpkgs' lib: its tests, and its module system.
step_nixpkgs_lib() {
  niphas
  if checkout nix-community/nixpkgs.lib; then NIPHAS_ORACLE=$oracle ci/nixpkgs-lib "$source_folder"; fi
}

# All drvPaths of a real package tree.
step_parity() {
  niphas
  local name sources=()
  for name in core-pkgs stdenv nix-lib; do
    checkout "jonringer/$name" || return 0
    sources+=("$source_folder")
  done
  # What Nix gives for these sources takes minutes to find out, and does not change.
  local key
  key=$(cd "$NIPHAS_SOURCES" && find "${sources[@]}" -type f -not -path '*/.git/*' -print0 | sort -z |
    xargs -0 sha256sum | sed 's|  .*+|  |' | sha256sum | cut -c 1-16)
  NIPHAS_ORACLE=$oracle ci/parity-core-pkgs "${sources[@]}" \
    --known "$NIPHAS_CI_CACHE/core-pkgs-$("$oracle/nix" --version | sed 's/.* //')-$key.json"
}

# Random expressions give the same values and messages.
step_fuzz_eval() {
  niphas
  NIPHAS_ORACLE=$oracle ci/fuzz-eval --minutes 1
}

# Every Nix file of other people's trees evaluates to the same.
step_parity_trees() {
  niphas
  local name
  for name in hercules-ci/flake-parts nix-community/nixpkgs.lib ipetkov/crane nix-community/haumea numtide/flake-utils \
    nix-community/naersk nix-community/gomod2nix nix-community/dream2nix nix-community/home-manager; do
    checkout "$name" || true
  done
  NIPHAS_ORACLE=$oracle ci/parity-trees
}

# How long rendering takes, up to 2,000 workloads.
step_bench_render() {
  niphas
  local lib=()
  if checkout nix-community/nixpkgs.lib; then lib=(--lib "$source_folder"); fi
  ci/bench render "${lib[@]}"
}
