# What customers do not see. print prints a file, and ends.
let
  greets = { pkgs, ... }: { roots.greeting = pkgs.greeting; };
in
{
  # Most run the same program, so the group says it once.
  groups.back.defaults = { pkgs, ... }: { package = pkgs.hello; };

  # Two programs beside it: one that runs before, and one that runs on.
  groups.back.workloads.orders = { pkgs, config, ... }: {
    imports = [ greets ];
    args = [ "serve" (toString config.ports.http) "/nix/roots/greeting" ];
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
    serviceAccount.mountToken = true;
    # It looks up its settings at the API server.
    role.rules = [ { apiGroups = [ "" ]; resources = [ "configmaps" ]; resourceNames = [ "settings" ]; verbs = [ "get" "watch" ]; } ];
  };

  groups.back.workloads.database = {
    imports = [ greets ];
    kind = "StatefulSet";
    args = [ "serve" "8080" "/nix/roots/greeting" ];
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
  groups.back.workloads.mailer = {
    args = [ "tick" "60" "/etc/mailer/greeting" ];
    files."/etc/mailer/greeting" = "Thank you for your order.\n";
    annotations."argocd.argoproj.io/sync-wave" = "1";
    replicas = 1;
  };

  groups.back.workloads.reports = { pkgs, ... }: {
    imports = [ greets ];
    kind = "CronJob";
    package = pkgs.print;
    args = [ "/nix/roots/greeting" ];
    cronJob = { schedule = "30 3 * * *"; timeZone = "Europe/Vienna"; concurrencyPolicy = "Forbid"; };
    job.podFailurePolicy.rules = [ { action = "FailJob"; onExitCodes = { operator = "In"; values = [ 42 ]; }; } ];
  };

  # On every node.
  groups.back.workloads.warmer = {
    imports = [ greets ];
    kind = "DaemonSet";
    args = [ "tick" "3600" "/nix/roots/greeting" ];
    daemonSet.minReadySeconds = 5;
    podTemplate.spec.tolerations = [ { operator = "Exists"; } ];
  };
}
