{ lib, name, namespace, replicas, level }:
{
  inherit namespace;
  resources = {
    deployments.${name}.spec = {
      inherit replicas;
      selector.matchLabels.app = name;
      template.metadata.labels.app = name;
      template.spec = {
        containers.main = {
          image = "registry.example.org/${name}:1.0";
          args = [ "--config=/etc/web/config.json" ];
          env.LOG_LEVEL.value = level;
          ports.http.containerPort = 8080;
          readinessProbe.httpGet = { path = "/ready"; port = "http"; };
          resources.requests = { cpu = "20m"; memory = "32Mi"; };
          securityContext = {
            allowPrivilegeEscalation = false;
            capabilities.drop = [ "ALL" ];
            readOnlyRootFilesystem = true;
          };
          volumeMounts."/etc/web/config.json" = { name = "files"; subPath = "config.json"; readOnly = true; };
        };
        securityContext = {
          runAsNonRoot = true;
          runAsUser = 65532;
          seccompProfile.type = "RuntimeDefault";
        };
        volumes.files.configMap.name = "${name}-files";
      };
    };
    configMaps."${name}-files".data."config.json" = builtins.toJSON { greeting = "Hello"; };
    services.${name}.spec = {
      selector.app = name;
      ports.http = { port = 80; targetPort = "http"; };
    };
    ingresses.${name}.spec.rules = [
      {
        host = "${name}.${namespace}.example.org";
        http.paths = [
          { path = "/"; pathType = "Prefix"; backend.service = { inherit name; port.name = "http"; }; }
        ];
      }
    ];
    podDisruptionBudgets = lib.mkIf (replicas > 1) {
      ${name}.spec = { maxUnavailable = 1; selector.matchLabels.app = name; };
    };
  };
}
