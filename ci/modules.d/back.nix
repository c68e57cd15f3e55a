{ lib, ... }:
{
  groups.back = {
    defaults = { pkgs, ... }: {
      package = pkgs.hello;
      env.TEAM = "back";
    };
    workloads.ticker = {
      kind = "CronJob";
      cronJob.schedule = "@daily";
      command = [ "/nix/root/bin/hello" "tick" ];
      env.TZ = lib.mkForce "Europe/Berlin";
    };
    workloads.db = lib.mkMerge [
      { kind = "StatefulSet"; replicas = 1; env.LOG_LEVEL = lib.mkOverride 90 "warn"; }
      { resources = lib.mkIf true { limits.memory = "1Gi"; }; env.LOG_LEVEL = "error"; }
      { volumeClaims.data = { mountPath = "/data"; storage = "1Gi"; }; }
    ];
  };
}
