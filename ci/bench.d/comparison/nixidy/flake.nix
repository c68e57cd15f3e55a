{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.nixidy.url = "github:arnarg/nixidy";

  outputs =
    { self, nixpkgs, nixidy }:
    let
      apps = builtins.fromJSON (builtins.readFile ./apps.json);
      environment = namespace: values: {
        modules = [
          {
            nixidy.target.repository = "https://git.example.org/gitops.git";
            nixidy.target.branch = "main";
            applications = nixpkgs.lib.genAttrs apps (name: import ./web.nix (values // { inherit (nixpkgs) lib; inherit name namespace; }));
          }
        ];
      };
    in
    {
      nixidyEnvs.x86_64-linux = nixidy.lib.mkEnvs {
        pkgs = nixpkgs.legacyPackages.x86_64-linux;
        envs.staging = environment "shop-staging" { level = "debug"; replicas = 1; };
        envs.production = environment "shop" { level = "info"; replicas = 3; };
      };
    };
}
