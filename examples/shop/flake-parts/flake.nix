{
  description = "The shop as modules, with flake-parts";

  inputs.niphas.url = "path:../../..";
  inputs.flake-parts.url = "github:hercules-ci/flake-parts";

  outputs =
    inputs:
    inputs.flake-parts.lib.mkFlake { inherit inputs; } {
      systems = [ "x86_64-linux" "aarch64-linux" ];
      imports = [ inputs.niphas.flakeModules.default ];

      # Workloads get the `pkgs` of `perSystem`. Those who have nixpkgs leave this out.
      perSystem = { system, ... }: {
        _module.args.pkgs = import ../packages.nix system;
      };

      niphas.environments = {
        staging = ../modules/staging.nix;
        production = ../modules/production.nix;
      };
    };
}
