# What nixidy makes of an environment, without its flake inputs: nothing of nixpkgs is needed but its lib.
{ nixpkgs-lib, nixidy, kubelib, folder, env }:
let
  lib = import (nixpkgs-lib + "/lib");
  flake = (import (folder + "/flake.nix")).outputs {
    self = { };
    nixpkgs = { inherit lib; legacyPackages.x86_64-linux = { inherit lib; }; };
    nixidy.lib = import (nixidy + "/make-env.nix") { kubelib = (import (kubelib + "/flake.nix")).outputs { self = { }; }; };
  };
in
lib.concatMap (app: app.objects) (builtins.attrValues flake.nixidyEnvs.x86_64-linux.${env}.config.applications)
