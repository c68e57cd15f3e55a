{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.kubenix.url = "github:hall/kubenix";

  outputs =
    { self, nixpkgs, kubenix }:
    let
      apps = builtins.fromJSON (builtins.readFile ./apps.json);
      environment =
        namespace: values:
        kubenix.evalModules.x86_64-linux {
          module = { kubenix, lib, ... }: {
            imports = [ kubenix.modules.k8s ];
            kubernetes.namespace = namespace;
            kubernetes.resources = lib.mkMerge (
              map (name: import ./web.nix (values // { inherit lib name namespace; })) apps
            );
          };
        };
    in
    {
      staging = environment "shop-staging" { level = "debug"; replicas = 1; };
      production = environment "shop" { level = "info"; replicas = 3; };
    };
}
