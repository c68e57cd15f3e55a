# What kubenix makes of an environment, without its flake inputs: nothing of nixpkgs is needed but its lib.
{ nixpkgs-lib, kubenix, folder, env }:
let
  lib = import (nixpkgs-lib + "/lib");
  pkgs = { inherit lib; };
  # As evalModules of kubenix' flake, with nothing of nixpkgs but its lib.
  evalModules =
    { module }:
    (lib.extend (lib: _: import (kubenix + "/lib/upstreamables.nix") { inherit lib pkgs; })).evalModules {
      modules = [ module { config._module.args = { inherit pkgs; name = "default"; }; } ];
      specialArgs = {
        inherit pkgs;
        kubenix = {
          lib = import (kubenix + "/lib") { inherit lib pkgs; };
          modules = import (kubenix + "/modules");
        };
      };
    };
  flake = (import (folder + "/flake.nix")).outputs {
    self = { };
    nixpkgs = { inherit lib; };
    kubenix.evalModules.x86_64-linux = evalModules;
  };
in
flake.${env}.config.kubernetes.objects
