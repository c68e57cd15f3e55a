# shellcheck shell=bash
# Other people's code: licences, known holes; and the fuzz targets, which have dependencies of their own.

cargo_deny() {
  local bin=$NIPHAS_CI_CACHE/cargo/bin/cargo-deny
  [[ -x $bin ]] || cargo install --locked --quiet --root "$NIPHAS_CI_CACHE/cargo" cargo-deny
  "$bin" --locked "$@"
}

step_licences() {
  cargo_deny check --deny unmatched-skip --deny unnecessary-skip licenses bans sources
}

step_advisories() {
  local database=https://github.com/RustSec/advisory-db
  if git ls-remote --quiet "$database" HEAD >/dev/null 2>&1; then
    cargo_deny check advisories
  else
    skip "the database of advisories cannot be reached"
  fi
}

# Runs them, a minute each.
step_fuzz() {
  ci/fuzz 60
}

step_fuzz_targets() {
  local manifest toolchain=()
  if rustup toolchain list | grep -q ^nightly; then
    toolchain=(+nightly)
  else
    skip "fuzzing itself needs the nightly toolchain; the targets are built with the stable one"
  fi
  while read -r manifest; do
    echo "$manifest"
    # As `cargo fuzz` and ci/fuzz do: what only fuzz targets call is compiled with it alone.
    RUSTFLAGS="${RUSTFLAGS-} --cfg fuzzing" cargo "${toolchain[@]}" build --quiet --bins --manifest-path "$manifest" --target-dir "$CARGO_TARGET_DIR/fuzz"
  done < <(git ls-files '*/fuzz/Cargo.toml')
}
