# `niphas`, the program of CI, as nixpkgs builds it: `callPackage ./package.nix { }`.
{
  lib,
  rustPlatform,
  installShellFiles,
  openssl,
  pkg-config,
  stdenv,
}:
let
  inherit (lib) fileset;
  manifest = (lib.importTOML ./Cargo.toml).workspace.package;
in
rustPlatform.buildRustPackage {
  pname = "niphas";
  inherit (manifest) version;

  # What the program is made of: other changes of the repository build nothing again.
  src = fileset.toSource {
    root = ./.;
    fileset = fileset.unions [
      ./Cargo.lock
      ./Cargo.toml
      ./core
      ./deploy
      ./docs/reference
      ./examples/templates
      ./nixlib
      ./renderer
      ./runtime
    ];
  };
  cargoLock.lockFile = ./Cargo.lock;
  cargoBuildFlags = [ "--package=niphas" ];
  # The tests need Git, sockets and name spaces: CI runs them.
  doCheck = false;

  # Instead of a copy of its own.
  env.OPENSSL_NO_VENDOR = true;
  nativeBuildInputs = [ installShellFiles pkg-config ];
  buildInputs = [ openssl ];

  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash fish zsh; do
      $out/bin/niphas completions $shell >niphas.$shell
      installShellCompletion --cmd niphas --$shell niphas.$shell
    done
  '';

  meta = {
    description = "Runs Nix closures on Kubernetes: renders flakes to GitOps repositories";
    homepage = manifest.repository;
    license = with lib.licenses; [ mit asl20 ];
    mainProgram = "niphas";
    platforms = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
  };
}
