{
  # A site from the package's own files: what is in the package is at /nix/root in the pod.
  web = { pkgs, ... }: {
    package = pkgs.hello-site;
    args = [ "serve" "8080" "${pkgs.hello-site}/index.html" ];
    ports.http = 8080;
    probes.readiness.httpGet = { path = "/"; port = "http"; };
    service = { };
  };

  # A file that is part of the workload, not of the package.
  status = { pkgs, namespace, ... }: {
    package = pkgs.hello;
    args = [ "serve" "8081" "/etc/status.json" ];
    files."/etc/status.json" = builtins.toJSON { inherit namespace; ok = true; } + "\n";
    ports.http = 8081;
    service = { };
  };

  # No port, one replica everywhere; the greeting is a store path, and so a second root of the closure.
  ticker = { pkgs, ... }: {
    package = pkgs.hello;
    args = [ "tick" "60" "${pkgs.greeting}" ];
    env.TZ = "UTC";
    replicas = 1;
    resources.limits.memory = "16Mi";
  };
}
