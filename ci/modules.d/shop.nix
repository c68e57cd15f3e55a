# The same shop as modules: several files and levels, conditions, priorities, and a class of workloads.
{ lib, config, ... }:
{
  imports = [ ./back.nix ];

  namespace = lib.mkDefault "shop";
  defaults = { config, ... }: {
    env.LOG_LEVEL = lib.mkDefault "info";
    replicas = 3;
    resources.limits.memory = "64Mi";
    env.TEAM = lib.mkIf (config.env ? URL) "front";
  };

  workloads.web = { pkgs, lib, config, ... }: {
    imports = [ ./class.nix ];
    package = pkgs.hello-site;
    http.host = "shop.example.org";
    env.LOG_LEVEL = "debug";
    args = lib.mkMerge [
      [ "serve" (toString config.http.port) "${pkgs.hello-site}/index.html" ]
      (lib.mkAfter [ "--public" (lib.mkIf false "--never") ])
    ];
    files = lib.mkIf false { "/etc/no" = throw "not asked for"; };
  };
}
