# What customers see. hello has `serve PORT FILE` and `tick SECONDS FILE`.
{
  # Of the platform's class, with a route that sends old addresses to new ones.
  workloads.storefront = { pkgs, namespace, ... }: {
    imports = [ ../platform/http.nix ];
    package = pkgs.hello-site;
    args = [ "serve" "8080" "/nix/root/index.html" ];
    http.host = "${namespace}.example.org";
    http.rules = [
      {
        matches = [ { path = { type = "Exact"; value = "/shop"; }; } ];
        filters = [ { type = "RequestRedirect"; requestRedirect.path = { type = "ReplaceFullPath"; replaceFullPath = "/"; }; } ];
      }
      { matches = [ { path.value = "/search"; } ]; backendRefs = [ { name = "search"; port = 8080; } ]; }
      { timeouts.request = "10s"; }
    ];
  };

  # The same class, with more of its own.
  workloads.catalogue = { pkgs, config, ... }: {
    imports = [ ../platform/http.nix ];
    package = pkgs.hello;
    args = [ "serve" (toString config.http.port) "/etc/catalogue.json" ];
    files."/etc/catalogue.json" = builtins.toJSON { articles = [ "tea" "cups" ]; };
    autoscaling = { minReplicas = 2; maxReplicas = 6; cpu = 80; };
    resources.requests = { cpu = "20m"; memory = "16Mi"; };
  };

  # Reached by other workloads, and from inside of the company.
  workloads.search = { pkgs, ... }: {
    package = pkgs.hello-site;
    args = [ "serve" "8080" "/nix/root/index.html" ];
    ports.http = 8080;
    service = { };
    ingress = {
      className = "internal";
      hosts."search.internal" = {
        backends."/health".pathType = "Exact";
        paths = [ "/search" ];
      };
    };
    # An index that all pods share, and that stays when the workload goes.
    volumeClaims.index = { mountPath = "/var/lib/search"; storage = "5Gi"; accessModes = [ "ReadWriteMany" ]; };
  };
}
