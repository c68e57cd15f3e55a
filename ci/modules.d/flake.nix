# The shop three ways. Nothing is an input, so nothing is locked: the folders lie beside this file.
{
  outputs =
    { self }:
    let
      niphas = (import ./niphas.nix).outputs { self = niphas // { outPath = ./.; }; };
      inherit (import ./nixpkgs-lib) lib;
      systems = [ "x86_64-linux" "aarch64-linux" ];
      packages = import ./packages.nix;
      plain = import ./plain.nix {
        environment = attributes: niphas.lib.mkEnvironment ({ inherit systems; pkgsFor = packages; } // attributes);
      };
      modules = niphas.lib.evalEnvironment {
        inherit lib;
        defaults = [ { env.TZ = "UTC"; } ];
        modules = [ ./shop.nix { inherit systems; pkgsFor = packages; } ];
      };
    in
    {
      plain.niphasConfigurations.shop = plain;
      modules.niphasConfigurations.shop = modules;
      parts =
        let
          flake-parts = (import ./flake-parts/flake.nix).outputs { nixpkgs-lib = { inherit lib; }; self = { }; };
        in
        flake-parts.lib.mkFlake { inputs.self = self; } {
          inherit systems;
          imports = [ niphas.flakeModules.default niphas.flakeModules.default ];
          perSystem = { system, ... }: { _module.args.pkgs = packages system; };
          niphas.defaults.env.TZ = "UTC";
          niphas.environments.shop = ./shop.nix;
        };
      niphasConfigurations = (import ./which.nix self).niphasConfigurations;
    };
}
