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

  # What few workloads need, and some do.
  rare = { pkgs, ... }: {
    package = pkgs.hello;
    labels = { team = "shop"; "example.org/cost-centre" = "42"; };
    annotations."argocd.argoproj.io/sync-wave" = "2";
    ports = {
      http = { port = 8080; appProtocol = "http"; };
      grpc = { port = 9000; appProtocol = "kubernetes.io/h2c"; };
      metrics = 9090;
    };
    replicas = 2;
    deployment = { minReadySeconds = 5; progressDeadlineSeconds = 120; revisionHistoryLimit = 3; };
    service = {
      name = "shop-api";
      type = "LoadBalancer";
      portNames = [ "http" "grpc" ];
      ports.http = 80;
      nodePorts.http = 30080;
      externalTrafficPolicy = "Local";
      internalTrafficPolicy = "Cluster";
      loadBalancerClass = "example.org/internal";
      loadBalancerSourceRanges = [ "10.0.0.0/8" ];
      allocateLoadBalancerNodePorts = true;
      sessionAffinity = "ClientIP";
      sessionAffinityConfig.clientIP.timeoutSeconds = 600;
      ipFamilyPolicy = "SingleStack";
      trafficDistribution = "PreferClose";
      labels.scope = "public";
      annotations."example.org/class" = "internal";
    };
    services = {
      peers = { clusterIP = "None"; publishNotReadyAddresses = true; portNames = [ "grpc" ]; };
      metrics = { name = "rare-prometheus"; portNames = [ "metrics" ]; labels.monitoring = "yes"; };
    };
    ingress = {
      port = "http";
      pathType = "Exact";
      labels.scope = "public";
      hosts."rare.example" = {
        paths = [ "/health" ];
        backends = {
          "/" = { pathType = "Prefix"; };
          "/db" = { pathType = "ImplementationSpecific"; service = "stateful"; port = "db"; };
          "/metrics" = { service = "rare-prometheus"; portNumber = 9090; };
        };
      };
    };
    ingresses.internal = {
      name = "rare-inside";
      className = "internal";
      port = "http";
      hosts."rare.internal" = { };
    };
    httpRoute = {
      parentRefs = [ { name = "public"; } ];
      port = "http";
      labels.scope = "public";
      rules = [
        {
          matches = [
            { path = { type = "Exact"; value = "/old"; }; method = "GET"; headers = [ { name = "X-Version"; value = "1"; } ]; }
          ];
          filters = [ { type = "RequestRedirect"; requestRedirect.path = { type = "ReplaceFullPath"; replaceFullPath = "/new"; }; } ];
        }
        {
          matches = [ { path.value = "/api"; queryParams = [ { name = "beta"; value = "yes"; } ]; } ];
          filters = [ { type = "RequestHeaderModifier"; requestHeaderModifier.set = [ { name = "X-Shop"; value = "1"; } ]; } ];
          timeouts = { request = "10s"; backendRequest = "2s"; };
          backendRefs = [ { name = "shop-api"; port = 80; weight = 90; } { name = "stateful"; port = 5432; weight = 10; } ];
        }
        { }
      ];
    };
    httpRoutes.redirect = {
      parentRefs = [ { name = "public"; sectionName = "http"; } ];
      port = "http";
      rules = [ { filters = [ { type = "RequestRedirect"; requestRedirect.scheme = "https"; } ]; } ];
    };
    grpcRoute = { parentRefs = [ { name = "public"; } ]; port = "grpc"; hostnames = [ "grpc.example" ]; };
    grpcRoutes.search = {
      parentRefs = [ { name = "public"; } ];
      port = "grpc";
      rules = [ { matches = [ { method = { service = "shop.Search"; method = "Find"; }; } ]; } ];
    };
    disruptionBudget = { maxUnavailable = 1; unhealthyPodEvictionPolicy = "AlwaysAllow"; };
    serviceAccount = { name = "shop"; labels.scope = "api"; mountToken = true; };
    role.rules = [ { apiGroups = [ "" ]; resources = [ "configmaps" ]; verbs = [ "get" "watch" ]; } ];
    volumeClaims = {
      cache = {
        mountPath = "/var/cache/shop";
        storage = "5Gi";
        accessModes = [ "ReadWriteMany" ];
        labels.tier = "cache";
        annotations."example.org/backup" = "no";
        dataSourceRef = { apiGroup = "snapshot.storage.k8s.io"; kind = "VolumeSnapshot"; name = "before"; };
      };
      disk = { mountPath = "/dev/shop"; storage = "1Gi"; volumeMode = "Block"; volumeName = "disk-1"; };
      uploads = { mountPath = "/srv/uploads"; claimName = "uploads"; };
    };
  };

  # The same for other kinds.
  rare-stateful = { pkgs, ... }: {
    kind = "StatefulSet";
    package = pkgs.hello;
    replicas = 4;
    highAvailability = false;
    serviceAccount = { name = "shop"; create = false; };
    strategy = { partition = 2; };
    statefulSet = {
      minReadySeconds = 5;
      ordinals.start = 1;
      persistentVolumeClaimRetentionPolicy = { whenDeleted = "Delete"; whenScaled = "Retain"; };
      podManagementPolicy = "Parallel";
      revisionHistoryLimit = 3;
    };
    volumeClaims.data = {
      mountPath = "/data";
      storage = "1Gi";
      labels.tier = "data";
      annotations."example.org/backup" = "daily";
      selector.matchLabels.disk = "fast";
    };
  };

  rare-daemon = { pkgs, ... }: {
    kind = "DaemonSet";
    package = pkgs.hello;
    daemonSet = { minReadySeconds = 5; revisionHistoryLimit = 3; };
  };

  rare-job = { pkgs, ... }: {
    kind = "Job";
    package = pkgs.hello;
    job = {
      completions = 5;
      completionMode = "Indexed";
      backoffLimitPerIndex = 1;
      maxFailedIndexes = 2;
      podFailurePolicy.rules = [ { action = "FailIndex"; onExitCodes = { operator = "In"; values = [ 42 ]; }; } ];
      podReplacementPolicy = "Failed";
      successPolicy.rules = [ { succeededIndexes = "0"; } ];
      suspend = true;
    };
  };

  rare-cron = { pkgs, ... }: {
    kind = "CronJob";
    package = pkgs.hello;
    cronJob = { schedule = "@daily"; suspend = true; };
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
