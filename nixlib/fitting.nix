# `fitting defaults own`: the defaults less those that the kind of the workload does not have, and that it does not mention
# itself. So a default of `replicas` is one for what has replicas, and a CronJob beside it is none the worse.
defaults: own:
let
  # `null` is an attribute that is not set.
  first = builtins.foldl' (found: kind: if found == null then kind else found) null;
  kind = first [ (own.kind or null) (defaults.kind or null) "Deployment" ];
  isOneOf = builtins.elem kind;
  isScaled = isOneOf [ "Deployment" "StatefulSet" ];
  strategy = defaults.strategy or { };
  type = strategy.type or "RollingUpdate";

  fits = {
    autoscaling = isScaled;
    cronJob = isOneOf [ "CronJob" ];
    daemonSet = isOneOf [ "DaemonSet" ];
    deployment = isOneOf [ "Deployment" ];
    disruptionBudget = isScaled;
    job = isOneOf [ "Job" "CronJob" ];
    replicas = isScaled;
    statefulSet = isOneOf [ "StatefulSet" ];
    strategy =
      if kind == "Deployment" then
        type != "OnDelete" && !(strategy ? partition)
      else if kind == "StatefulSet" then
        type != "Recreate" && !(strategy ? maxSurge)
      else
        kind == "DaemonSet"
        && type != "Recreate"
        && !(strategy ? partition)
        && (strategy ? maxSurge -> (strategy.maxUnavailable or null) == 0);
    volumeClaims = isOneOf [ "StatefulSet" ];
  };
in
removeAttrs defaults (
  builtins.filter (name: !fits.${name} && !(own ? ${name})) (builtins.attrNames fits)
)
