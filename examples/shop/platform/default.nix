# What a platform team publishes: classes of workloads, as functions that give a workload.
{
  # A program that speaks HTTP, reachable through the platform's Gateway, and watched.
  http =
    {
      package,
      args ? [ ],
      port ? 8080,
      # Where it is reached; no route if it is null.
      host ? null,
      # The route's rules; all requests go to the workload if there are none.
      rules ? [ ],
    }:
    {
      inherit package args;
      ports = { http = { inherit port; appProtocol = "http"; }; metrics = 9090; };
      probes.readiness.httpGet = { path = "/"; port = "http"; };
      probes.liveness = { tcpSocket.port = "http"; periodSeconds = 20; };
      # What is watched is not public.
      service.portNames = [ "http" ];
      services.metrics = { portNames = [ "metrics" ]; labels.monitoring = "yes"; };
      networkPolicy.ingress = [
        { from = [ { namespaceSelector.matchLabels."kubernetes.io/metadata.name" = "gateways"; } { podSelector = { }; } ]; }
      ];
      httpRoute =
        if host == null then
          null
        else
          {
            parentRefs = [ { name = "public"; namespace = "gateways"; } ];
            hostnames = [ host ];
            port = "http";
            inherit rules;
          };
    };
}
