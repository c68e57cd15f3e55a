{
  description = "The shop as modules, with nixpkgs' lib alone";

  inputs.niphas.url = "path:../../..";
  # Those who have nixpkgs write `nixpkgs.lib`.
  inputs.nixpkgs-lib.url = "github:nix-community/nixpkgs.lib";

  outputs =
    { self, niphas, nixpkgs-lib }:
    let
      environment =
        module:
        niphas.lib.evalEnvironment {
          inherit (nixpkgs-lib) lib;
          modules = [
            module
            {
              systems = [ "x86_64-linux" "aarch64-linux" ];
              pkgsFor = import ../packages.nix;
            }
          ];
        };
    in
    {
      niphasConfigurations = {
        staging = environment ../modules/staging.nix;
        production = environment ../modules/production.nix;
      };
    };
}
