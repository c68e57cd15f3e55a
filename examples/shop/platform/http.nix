# The same class as a module, with options of its own: what a platform team publishes as `niphasModules.http`.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.http;
in
{
  options.http = {
    port = mkOption {
      type = types.port;
      default = 8080;
      description = "The port that the program listens on.";
    };
    host = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Where it is reached; no route if it is null.";
    };
    rules = mkOption {
      type = types.listOf types.raw;
      default = [ ];
      description = "The route's rules; all requests go to the workload if there are none.";
    };
  };

  config = {
    ports = { http = { inherit (cfg) port; appProtocol = "http"; }; metrics = 9090; };
    probes.readiness.httpGet = { path = lib.mkDefault "/"; port = "http"; };
    probes.liveness = { tcpSocket.port = "http"; periodSeconds = lib.mkDefault 20; };
    # What is watched is not public.
    service.portNames = [ "http" ];
    services.metrics = { portNames = [ "metrics" ]; labels.monitoring = "yes"; };
    networkPolicy.ingress = [
      { from = [ { namespaceSelector.matchLabels."kubernetes.io/metadata.name" = "gateways"; } { podSelector = { }; } ]; }
    ];
    httpRoute = lib.mkIf (cfg.host != null) {
      parentRefs = [ { name = "public"; namespace = "gateways"; } ];
      hostnames = [ cfg.host ];
      port = "http";
      inherit (cfg) rules;
    };
  };
}
