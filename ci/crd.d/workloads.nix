{
  # Every field that a Deployment can have, but an autoscaler.
  deployment = { pkgs, ... }: {
    package = pkgs.hello-site;
    args = [ "serve" "8080" "${pkgs.hello-site}/index.html" ];
    env = {
      HOST = "db";
      URL = "http://$(HOST)/";
      NODE.valueFrom.fieldRef.fieldPath = "spec.nodeName";
      TOKEN.valueFrom.secretKeyRef = { name = "deployment"; key = "token"; };
    };
    files = {
      "/etc/web/config.toml" = "a = 1\n";
      "/etc/web/secret.toml" = { text = "\tb = 2\n"; mode = "0400"; };
    };
    ports = {
      http = 8080;
      metrics = 9090;
      dns = { port = 5353; protocol = "UDP"; };
    };
    replicas = 3;
    resources = {
      requests = { cpu = "100m"; memory = "32Mi"; };
      limits.memory = "64Mi";
    };
    probes = {
      startup = { tcpSocket.port = "http"; failureThreshold = 30; };
      readiness = { httpGet = { path = "/ready"; port = "http"; }; successThreshold = 2; };
      liveness = { exec.command = [ "/nix/root/bin/hello" "tick" "0" "x" ]; periodSeconds = 20; };
    };
    service = {
      type = "LoadBalancer";
      ports.http = 80;
      annotations."example.org/class" = "internal";
    };
    ingress = {
      className = "nginx";
      port = "http";
      annotations."cert-manager.io/cluster-issuer" = "ca";
      hosts = {
        "shop.example" = { tlsSecretName = "shop-tls"; };
        "*.shop.example" = { paths = [ "/a" "/b" ]; };
      };
    };
    httpRoute = {
      parentRefs = [ { name = "public"; namespace = "gateways"; sectionName = "https"; } ];
      hostnames = [ "shop.example" "*.shop.example" ];
      paths = [ "/" "/api" ];
      port = "http";
      annotations."example.org/team" = "shop";
    };
    networkPolicy = {
      ingress = [
        {
          from = [ { namespaceSelector.matchLabels."kubernetes.io/metadata.name" = "gateways"; } ];
          ports = [ { port = "http"; } ];
        }
      ];
      egress = [ { to = [ { ipBlock = { cidr = "192.0.2.0/24"; }; } ]; } ];
    };
    disruptionBudget.minAvailable = "50%";
    strategy = { maxSurge = 1; maxUnavailable = 0; };
    serviceAccount = { annotations."example.org/role" = "web"; mountToken = true; };
    podTemplate = {
      metadata.annotations."example.org/scrape" = "true";
      spec = {
        nodeSelector.disk = "ssd";
        containers = [ { name = "sidecar"; image = "example.org/sidecar:1"; } ];
      };
    };
  };

  # As little as possible.
  small = { pkgs, ... }: {
    package = pkgs.hello;
  };

  autoscaled = { pkgs, ... }: {
    package = pkgs.hello;
    resources.requests = { cpu = "100m"; memory = "32Mi"; };
    autoscaling = {
      minReplicas = 2;
      maxReplicas = 10;
      cpu = 80;
      memory = 70;
      metrics = [
        {
          type = "Pods";
          pods = {
            metric.name = "requests";
            target = { type = "AverageValue"; averageValue = "100"; };
          };
        }
      ];
      behavior.scaleDown.stabilizationWindowSeconds = 60;
    };
    disruptionBudget.maxUnavailable = 1;
  };

  recreated = { pkgs, ... }: {
    package = pkgs.hello;
    strategy.type = "Recreate";
    ports.http = 8080;
    service.type = "NodePort";
  };

  stateful = { pkgs, ... }: {
    kind = "StatefulSet";
    package = pkgs.hello;
    replicas = 3;
    ports.db = 5432;
    service = { };
    strategy = { };
    volumeClaims = {
      data = { mountPath = "/var/lib/db"; storage = "10Gi"; storageClassName = "fast"; };
      scratch = { mountPath = "/tmp"; storage = "1Gi"; accessModes = [ "ReadWriteOncePod" ]; };
    };
  };

  daemon = { pkgs, ... }: {
    kind = "DaemonSet";
    package = pkgs.hello;
    strategy = { maxSurge = "10%"; maxUnavailable = 0; };
  };

  job = { pkgs, ... }: {
    kind = "Job";
    package = pkgs.hello;
    job = { completions = 3; parallelism = 2; backoffLimit = 1; activeDeadlineSeconds = 60; };
  };

  cron = { pkgs, ... }: {
    kind = "CronJob";
    package = pkgs.hello;
    job.ttlSecondsAfterFinished = 600;
    cronJob = {
      schedule = "*/5 3 * * 1-5";
      timeZone = "Europe/Vienna";
      concurrencyPolicy = "Forbid";
      startingDeadlineSeconds = 60;
      successfulJobsHistoryLimit = 1;
      failedJobsHistoryLimit = 2;
    };
  };

  # Values that the API server writes in another way than they are written here, or takes for nothing.
  spelled = { pkgs, ... }: {
    package = pkgs.hello;
    resources = {
      requests = { cpu = "1000m"; memory = "1024Mi"; };
      limits = { cpu = "0.0015k"; memory = "1.5Gi"; };
    };
    probes.liveness = {
      exec.command = [ "/nix/root/bin/hello" ];
      timeoutSeconds = 0;
      initialDelaySeconds = 0;
      failureThreshold = 0;
    };
    env = {
      EMPTY = "";
      CPU.valueFrom.resourceFieldRef = { resource = "limits.cpu"; divisor = "1000u"; };
    };
    networkPolicy = { ingress = [ ]; egress = [ { } { to = [ ]; ports = [ { port = 53; protocol = "UDP"; } ]; } ]; };
    # Every form of quantity.
    autoscaling = {
      maxReplicas = 2;
      metrics = builtins.concatMap (
        number:
        map (suffix: {
          type = "Pods";
          pods = {
            metric.name = "m";
            target = { type = "AverageValue"; averageValue = number + suffix; };
          };
        }) [ "" "n" "u" "m" "k" "M" "G" "T" "Ki" "Mi" "Gi" "Ti" "e3" "e-2" "E2" ]
      ) [ "1" "+2" "007" "1." "1.5" "1.500" ".1" "1.0001" "512" "1000" "1024" "1500" "2048.5" "999999999" "1234567890.987654321" ];
    };
    podTemplate.spec = {
      hostNetwork = false;
      nodeSelector = { };
      tolerations = [ ];
      terminationGracePeriodSeconds = 0;
      serviceAccount = "spelled";
      affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution = [ ];
      dnsConfig.options = [ { name = "ndots"; value = ""; } ];
      volumes = [
        { name = "scratch"; emptyDir = { medium = ""; sizeLimit = "2048Mi"; }; }
        { name = "host"; hostPath = { path = "/srv"; type = ""; }; }
      ];
      securityContext = { runAsUser = 0; runAsNonRoot = false; supplementalGroups = [ ]; };
      containers = [
        {
          name = "main";
          tty = false;
          workingDir = "";
          volumeMounts = [ { name = "scratch"; mountPath = "/scratch"; subPath = ""; readOnly = false; } ];
        }
      ]
      ++ builtins.genList (index: {
        name = "cpu-${toString index}";
        image = "example.org/sidecar:1";
        resources.limits.cpu = builtins.elemAt [ "1u" "1500u" "0.0001" "1.0001" "1.1Ki" "1e-3" "100e-2" "2n" ] index;
      }) 8;
    };
  };
}
