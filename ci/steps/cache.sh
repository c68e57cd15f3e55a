# shellcheck shell=bash
# Binary caches: what we push real Nix substitutes, from folders and from servers.
# shellcheck disable=SC2154 # oracle is set by step_nix

step_cache() {
  command -v nginx >/dev/null || { apt-get update -q && apt-get install --yes --no-install-recommends nginx-light; }
  node_programs
  niphas
  export NIPHAS_ORACLE=$oracle
  ci/cache 60
  if command -v go >/dev/null; then ci/cache-servers; else skip "the S3 server that caches are pushed to is built with Go"; fi
}

# The cache that we serve ourselves.
step_cache_service() {
  niphas
  cargo build --locked --quiet -p niphas-cache-service --example cache-service
  NIPHAS_CACHE_SERVICE=$CARGO_TARGET_DIR/debug/examples/cache-service NIPHAS_ORACLE=$oracle ci/cache-service
}
