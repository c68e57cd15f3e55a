# The workloads by name. hello has `serve PORT FILE` and `tick SECONDS FILE`; print prints a file, and ends.
{ platform }:
{
  # Of the platform's class, with a route that sends old addresses to new ones.
  storefront = { pkgs, namespace, ... }:
    platform.http {
      package = pkgs.hello-site;
      args = [ "serve" "8080" "/nix/root/index.html" ];
      host = "${namespace}.example.org";
      rules = [
        {
          matches = [ { path = { type = "Exact"; value = "/shop"; }; } ];
          filters = [ { type = "RequestRedirect"; requestRedirect.path = { type = "ReplaceFullPath"; replaceFullPath = "/"; }; } ];
        }
        { matches = [ { path.value = "/search"; } ]; backendRefs = [ { name = "search"; port = 8080; } ]; }
        { timeouts.request = "10s"; }
      ];
    };

  # The same class, with more of its own.
  catalogue = { pkgs, ... }:
    platform.http { package = pkgs.hello; args = [ "serve" "8080" "/etc/catalogue.json" ]; }
    // {
      files."/etc/catalogue.json" = builtins.toJSON { articles = [ "tea" "cups" ]; };
      autoscaling = { minReplicas = 2; maxReplicas = 6; cpu = 80; };
      resources.requests = { cpu = "20m"; memory = "16Mi"; };
    };

  # Two programs beside it: one that runs before, and one that runs on.
  orders = { pkgs, ... }: {
    package = pkgs.hello;
    args = [ "serve" "8080" "/nix/roots/greeting" ];
    roots.greeting = pkgs.greeting;
    ports.http = 8080;
    env.DATABASE = "database-0.database-pods:8080";
    initContainers.migrate = {
      package = pkgs.print;
      args = [ "/nix/roots/greeting" ];
    };
    initContainers.exporter = {
      package = pkgs.hello-site;
      args = [ "serve" "9090" "/nix/roots/exporter/index.html" ];
      restartPolicy = "Always";
      ports.metrics = 9090;
      order = 1;
    };
    service.ports = { http = 80; metrics = 9090; };
    deployment = { minReadySeconds = 5; revisionHistoryLimit = 3; };
    serviceAccount = { mountToken = true; };
    # It looks up its settings at the API server.
    role.rules = [ { apiGroups = [ "" ]; resources = [ "configmaps" ]; resourceNames = [ "settings" ]; verbs = [ "get" "watch" ]; } ];
  };

  # Reached by other workloads, and from inside of the company.
  search = { pkgs, ... }: {
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

  database = { pkgs, ... }: {
    kind = "StatefulSet";
    package = pkgs.hello;
    args = [ "serve" "8080" "/nix/roots/greeting" ];
    roots.greeting = pkgs.greeting;
    ports.sql = 8080;
    service = { };
    replicas = 3;
    statefulSet = {
      podManagementPolicy = "Parallel";
      persistentVolumeClaimRetentionPolicy.whenScaled = "Retain";
    };
    volumeClaims.data = { mountPath = "/var/lib/database"; storage = "10Gi"; annotations."example.org/backup" = "daily"; };
  };

  # No port, and a file that a tool of the platform reloads.
  mailer = { pkgs, ... }: {
    package = pkgs.hello;
    args = [ "tick" "60" "/etc/mailer/greeting" ];
    files."/etc/mailer/greeting" = "Thank you for your order.\n";
    annotations."argocd.argoproj.io/sync-wave" = "1";
    replicas = 1;
  };

  reports = { pkgs, ... }: {
    kind = "CronJob";
    package = pkgs.print;
    args = [ "/nix/roots/greeting" ];
    roots.greeting = pkgs.greeting;
    cronJob = { schedule = "30 3 * * *"; timeZone = "Europe/Vienna"; concurrencyPolicy = "Forbid"; };
    job.podFailurePolicy.rules = [ { action = "FailJob"; onExitCodes = { operator = "In"; values = [ 42 ]; }; } ];
  };

  # On every node.
  warmer = { pkgs, ... }: {
    kind = "DaemonSet";
    package = pkgs.hello;
    args = [ "tick" "3600" "/nix/roots/greeting" ];
    roots.greeting = pkgs.greeting;
    daemonSet.minReadySeconds = 5;
    podTemplate.spec.tolerations = [ { operator = "Exists"; } ];
  };
}
