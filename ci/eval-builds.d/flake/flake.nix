{
  description = "Packages that no cache has, and a workload of them";

  inputs.niphas.url = "path:../..";

  outputs =
    { self, niphas }:
    let
      systems = [ "x86_64-linux" ];
    in
    {
      niphasConfigurations.production = niphas.lib.mkEnvironment {
        inherit systems;
        namespace = "shop";
        pkgsFor = import ./packages.nix;
        workloads = {
          web = { pkgs, ... }: {
            package = pkgs.web;
            args = [ "httpd" "-f" "-p" "8080" "-h" "${pkgs.site}" ];
            ports.http = 8080;
            probes.readiness.httpGet = { path = "/"; port = "http"; };
            service = { };
          };
        };
      };
    };
}
