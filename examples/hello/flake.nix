{
  description = "Three workloads in two environments, without nixpkgs";

  inputs.niphas.url = "path:../..";

  outputs =
    { self, niphas }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];

      packages = builtins.listToAttrs (
        map (system: {
          name = system;
          value = import ./packages.nix system;
        }) systems
      );

      environment =
        attributes:
        niphas.lib.mkEnvironment (
          {
            inherit systems;
            pkgsFor = system: packages.${system};
            workloads = import ./workloads.nix;
          }
          // attributes
        );
    in
    {
      packages = builtins.mapAttrs (_: p: removeAttrs p [ "greeting" ]) packages;

      niphasConfigurations.staging = environment {
        namespace = "hello-staging";
      };

      niphasConfigurations.production = environment {
        namespace = "hello";
        defaults = {
          replicas = 3;
          resources.requests = { cpu = "10m"; memory = "16Mi"; };
        };
      };
    };
}
