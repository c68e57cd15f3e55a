# A class of workloads, as a platform team publishes one: options of its own, and what comes of them.
{ config, lib, name, ... }:
{
  options.http = {
    host = lib.mkOption {
      type = lib.types.str;
      description = "The host that serves the workload.";
    };
    port = lib.mkOption {
      type = lib.types.port;
      default = 8080;
      description = "The port that the program listens on.";
    };
  };

  config = {
    ports.http = config.http.port;
    probes.readiness.httpGet = { path = lib.mkDefault "/"; port = "http"; };
    service = { };
    ingress.hosts.${config.http.host}.paths = [ "/${name}" ];
    env.URL = "https://${config.http.host}/${name}";
  };
}
