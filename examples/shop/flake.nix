{
  description = "A shop: eight workloads in two environments, what stands beside them, and a platform's own class of workloads";

  inputs.niphas.url = "path:../..";

  outputs =
    { self, niphas }:
    let
      environment =
        attributes:
        niphas.lib.mkEnvironment (
          {
            systems = [ "x86_64-linux" "aarch64-linux" ];
            pkgsFor = import ./packages.nix;
            workloads = import ./workloads.nix { platform = import ./platform; };
            manifests = [ ./manifests ];
          }
          // attributes
        );
    in
    {
      niphasConfigurations.staging = environment {
        namespace = "shop-staging";
        defaults = {
          labels.team = "shop";
          env.LOG_LEVEL = "debug";
          # One pod of each is enough, wherever it runs.
          highAvailability = false;
        };
        objects = import ./objects.nix { namespace = "shop-staging"; discount = 50; };
      };

      niphasConfigurations.production = environment {
        namespace = "shop";
        defaults = {
          labels.team = "shop";
          env.LOG_LEVEL = "info";
          replicas = 3;
          resources.requests = { cpu = "20m"; memory = "16Mi"; };
        };
        objects = import ./objects.nix { namespace = "shop"; discount = 10; };
      };
    };
}
