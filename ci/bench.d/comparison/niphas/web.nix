{ pkgs, name, namespace, ... }:
{
  package = pkgs.${name};
  args = [ "--config=/etc/web/config.json" ];
  files."/etc/web/config.json" = builtins.toJSON { greeting = "Hello"; };
  ports.http = 8080;
  probes.readiness.httpGet = { path = "/ready"; port = "http"; };
  resources.requests = { cpu = "20m"; memory = "32Mi"; };
  service.ports.http = 80;
  ingress.hosts."${name}.${namespace}.example.org" = { };
}
