# The shop with mkEnvironment.
{ environment, ... }:
environment {
  namespace = "shop";
  workloads = {
    web = { pkgs, ... }: {
      package = pkgs.hello-site;
      args = [ "serve" "8080" "${pkgs.hello-site}/index.html" "--public" ];
      env = { TZ = "UTC"; LOG_LEVEL = "debug"; TEAM = "front"; URL = "https://shop.example.org/web"; };
      ports.http = 8080;
      probes.readiness.httpGet = { path = "/"; port = "http"; };
      replicas = 3;
      resources.limits.memory = "64Mi";
      service = { };
      ingress.hosts."shop.example.org".paths = [ "/web" ];
    };
    ticker = { pkgs, ... }: {
      package = pkgs.hello;
      kind = "CronJob";
      cronJob.schedule = "@daily";
      command = [ "/nix/root/bin/hello" "tick" ];
      env = { TZ = "Europe/Berlin"; LOG_LEVEL = "info"; TEAM = "back"; };
      resources.limits.memory = "64Mi";
    };
    db = { pkgs, ... }: {
      package = pkgs.hello;
      kind = "StatefulSet";
      env = { TZ = "UTC"; LOG_LEVEL = "warn"; TEAM = "back"; };
      replicas = 1;
      resources.limits.memory = "1Gi";
      volumeClaims.data = { mountPath = "/data"; storage = "1Gi"; };
    };
  };
}
