# shellcheck shell=bash
# What the machine must have.
# shellcheck disable=SC2034 # other steps use what step_nix sets

step_machine() {
  local packages=() program
  declare -A package_of=([git]=git [python3]=python3 [cc]=build-essential [xz]=xz-utils [curl]=curl [shellcheck]=shellcheck)
  for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || packages+=("${package_of[$program]}")
  done
  python3 -c 'import yaml' 2>/dev/null || packages+=(python3-yaml)
  if ((${#packages[@]})); then
    apt-get update -q
    apt-get install --yes --no-install-recommends "${packages[@]}"
  fi
  # Near a full disk the stores of the suites refuse to fetch: say it here, not there.
  local free built=0
  free=$(free_gibibytes)
  [[ ! -d $CARGO_TARGET_DIR ]] || built=$(du --summarize --block-size=1G "$CARGO_TARGET_DIR" | cut -f 1)
  echo "$free GiB of disk are free, $built GiB hold what was built"
  if ((free + built < 30 || free < 5)); then
    echo "FAILED: what is built and the suites take up to 30 GiB of disk: make room, or set CARGO_TARGET_DIR and NIPHAS_CI_CACHE" >&2
    return 1
  fi
  cargo --version
  git --version
  python3 --version
}

# Real Nix, for the steps that compare: the newest as NIPHAS_ORACLE, all as lines of "version folder".
step_nix() {
  nix_versions=$(ci/oracle)
  echo "$nix_versions"
  # The tests see Nix only where a step hands it on.
  oracle=$(head -n 1 <<<"$nix_versions" | cut -d ' ' -f 2-)
  unset NIPHAS_ORACLE
  [[ $(head -n 1 <<<"$nix_versions") == 2.34* ]] ||
    skip "comparison with Nix 2.34, the reference; compared with $(head -n 1 <<<"$nix_versions" | cut -d ' ' -f 1) instead"
}
