{
  description = "A shop on Kubernetes, in two environments";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    niphas.url = "github:niphas/niphas";
  };

  outputs =
    { nixpkgs, niphas, ... }:
    let
      # What the environments share. Each has its own namespace and defaults.
      environment =
        attributes:
        niphas.lib.mkEnvironment (
          {
            # Those of the clusters' nodes. Another is "aarch64-linux".
            systems = [ "x86_64-linux" ];
            pkgsFor = system: nixpkgs.legacyPackages.${system};
            workloads = import ./workloads.nix;
          }
          // attributes
        );
    in
    {
      niphasConfigurations.staging = environment {
        namespace = "shop-staging";
      };

      niphasConfigurations.production = environment {
        namespace = "shop";
        # Below every workload: what a workload says itself counts more, and a default that its kind lacks is left out.
        defaults = {
          replicas = 3;
          disruptionBudget.maxUnavailable = 1;
          resources.requests = { cpu = "50m"; memory = "64Mi"; };
        };
      };
    };
}
