{
  description = "A web server on Kubernetes";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    niphas.url = "github:niphas/niphas";
  };

  outputs =
    { nixpkgs, niphas, ... }:
    {
      niphasConfigurations.production = niphas.lib.mkEnvironment {
        # Those of the cluster's nodes. Another is "aarch64-linux".
        systems = [ "x86_64-linux" ];
        pkgsFor = system: nixpkgs.legacyPackages.${system};
        namespace = "hello";

        workloads.hello = { pkgs, ... }: {
          package = pkgs.darkhttpd;
          args = [ "/srv/www" "--port" "8080" ];
          files."/srv/www/index.html" = builtins.readFile ./index.html;
          ports.http = 8080;
          probes.readiness.httpGet = { path = "/"; port = "http"; };
          service = { };
        };
      };
    };
}
