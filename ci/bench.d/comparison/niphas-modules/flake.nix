{
  inputs.niphas.url = "github:niphas/niphas";
  inputs.nixpkgs-lib.url = "github:nix-community/nixpkgs.lib";

  outputs =
    { self, niphas, nixpkgs-lib }:
    let
      inherit (nixpkgs-lib) lib;
      apps = builtins.fromJSON (builtins.readFile ./apps.json);
      environment =
        module:
        niphas.lib.evalEnvironment {
          inherit lib;
          modules = [
            module
            {
              systems = [ "x86_64-linux" ];
              pkgsFor = import ./packages;
              workloads = lib.genAttrs apps (_: ./web.nix);
            }
          ];
        };
    in
    {
      niphasConfigurations.staging = environment {
        namespace = "shop-staging";
        defaults = { env.LOG_LEVEL = "debug"; highAvailability = false; };
      };
      niphasConfigurations.production = environment {
        namespace = "shop";
        defaults = { env.LOG_LEVEL = "info"; replicas = 3; };
      };
    };
}
