{
  outputs = { self }:
    let
      packages = import ./builds.nix;
    in
    {
      packages.x86_64-linux.default = packages.service;
      niphasConfigurations.production = (import ./nixlib).mkEnvironment {
        systems = [ "x86_64-linux" ];
        namespace = "bench";
        pkgsFor = system: packages;
        workloads.service = { pkgs, ... }: { package = pkgs.service; args = [ "serve" ]; };
      };
    };
}
