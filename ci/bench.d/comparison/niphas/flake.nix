{
  inputs.niphas.url = "github:niphas/niphas";

  outputs =
    { self, niphas }:
    let
      apps = builtins.fromJSON (builtins.readFile ./apps.json);
      environment =
        namespace: defaults:
        niphas.lib.mkEnvironment {
          inherit defaults namespace;
          systems = [ "x86_64-linux" ];
          pkgsFor = import ./packages;
          workloads = builtins.listToAttrs (map (name: { inherit name; value = import ./web.nix; }) apps);
        };
    in
    {
      niphasConfigurations.staging = environment "shop-staging" {
        env.LOG_LEVEL = "debug";
        highAvailability = false;
      };
      niphasConfigurations.production = environment "shop" {
        env.LOG_LEVEL = "info";
        replicas = 3;
      };
    };
}
