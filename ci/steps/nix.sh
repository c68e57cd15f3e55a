# shellcheck shell=bash
# What is written in Nix: nixlib and the example.
# shellcheck disable=SC2154 # nix_versions and oracle are set by step_nix

# nixlib's tests evaluate to those that fail.
step_nixlib() {
  local folder failing
  while read -r _ folder; do
    failing=$(NIX_REMOTE=dummy:// "$folder/nix-instantiate" --eval --strict nixlib/tests)
    [[ $failing == "{ }" ]] || { echo "with $folder: $failing"; return 1; }
  done <<<"$nix_versions"
}

step_example_cache() {
  NIPHAS_ORACLE=$oracle ci/example-cache
}

# The example's outputs and drvPaths are real Nix's, and nixlib's tests pass with our evaluator.
step_example_flake() {
  niphas
  [[ $("$NIPHAS" instantiate --eval --strict nixlib/tests) == "{ }" ]]
  if [[ $("$oracle/nix" --version) == *" 2.8."* ]]; then
    skip "Nix 2.8 knows no relative path inputs, which the example has"
    return
  fi
  NIPHAS_ORACLE=$oracle ci/example-flake
}

# The shop in each of its forms, rendered to the same files.
step_example_shop() {
  niphas
  local checkouts=() repository
  for repository in nix-community/nixpkgs.lib hercules-ci/flake-parts; do
    checkout "$repository" || break
    checkouts+=("$source_folder")
  done
  local compared=$oracle
  [[ $("$oracle/nix" --version) != *" 2.8."* ]] || { skip "Nix 2.8 knows no relative path inputs, which the example has" && compared=''; }
  NIPHAS_ORACLE=$compared ci/example-shop "${checkouts[@]}"
}

# What the repository's own flake offers.
step_flake_outputs() {
  niphas
  if [[ $("$oracle/nix" --version) != *" 2.34"* ]]; then
    skip "what the flake shows is compared with Nix 2.34"
    return
  fi
  local nixpkgs=${NIPHAS_SOURCES:-$NIPHAS_CI_CACHE/sources}/NixOS+nixpkgs
  [[ -d $nixpkgs ]] || { skip "package.nix is evaluated with a checkout of NixOS/nixpkgs" && nixpkgs=''; }
  local lib=()
  ! checkout nix-community/nixpkgs.lib || lib=(--lib "$source_folder")
  NIPHAS_ORACLE=$oracle ci/flake-outputs "${lib[@]}" "$nixpkgs"
}

# Lock files of flakes with all kinds of inputs, and what `niphas flake` and `eval` say of flakes, are real Nix's.
step_flakes() {
  niphas
  if [[ $("$oracle/nix" --version) == *" 2.8."* ]]; then
    skip "Nix 2.8 locks flakes in another way"
    return
  fi
  checkout hercules-ci/flake-parts || true
  checkout nix-community/nixpkgs.lib || true
  NIPHAS_ORACLE=$oracle ci/flakes
}

# Each Git repository below FOLDER but the clone of ours, and where its branches are.
gitops_repositories() { # FOLDER
  local head
  while read -r head; do
    echo "$(dirname "$head") $(git -C "$(dirname "$head")" rev-parse --branches | tr '\n' ' ')"
  done < <(find "$1" -name HEAD -not -path "$1/niphas/.git/*" -not -path '*/logs/*' -not -path '*/refs/*' | sort)
}

# README's first command, on a fresh clone: it commits; run again, it commits nothing.
step_first_command() {
  local command folder
  command=$(readme_block 1)
  echo "$command"
  folder=$NIPHAS_CI_CACHE/first-command
  # What Git does not know is removed and what it knows is reset, so this is as a fresh clone; but what did not change since the
  # last run keeps its time, so Cargo does not build it again. What the commands make beside the clone goes.
  mkdir -p "$folder"
  find "$folder" -mindepth 1 -maxdepth 1 ! -name niphas -exec rm -rf {} +
  [[ -d $folder/niphas/.git ]] || git clone --quiet . "$folder/niphas"
  git -C "$folder/niphas" fetch --quiet --force "$root" HEAD
  git -C "$folder/niphas" checkout --quiet --force -B main FETCH_HEAD
  git -C "$folder/niphas" clean -ffdxq

  (cd "$folder/niphas" && bash -euc "$command")
  gitops_repositories "$folder" >"$folder/first"
  [[ -s $folder/first ]] || { echo "no GitOps repository was made below $folder"; return 1; }
  echo "-- again"
  (cd "$folder/niphas" && bash -euc "$command")
  gitops_repositories "$folder" >"$folder/second"
  diff "$folder/first" "$folder/second" || { echo "the second run committed something"; return 1; }
  # shellcheck disable=SC2034 # read by niphas(), which need not build the same again
  [[ -n $(git status --porcelain) ]] || first_command_built=yes
}

# Environments as modules, with nixpkgs' lib and with flake-parts.
step_modules() {
  niphas
  checkout nix-community/nixpkgs.lib || return 0
  local checkouts=("$source_folder")
  ! checkout hercules-ci/flake-parts || checkouts+=("$source_folder")
  NIPHAS_ORACLE=$oracle ci/modules "${checkouts[@]}"
}

# The mistakes of a first week: what is said of each, and what is committed.
step_first_use() {
  niphas
  ci/first-use
}
