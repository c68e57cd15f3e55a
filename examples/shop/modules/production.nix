{
  imports = [ ./default.nix ];

  namespace = "shop";
  defaults = {
    env.LOG_LEVEL = "info";
    replicas = 3;
    resources.requests = { cpu = "20m"; memory = "16Mi"; };
  };
}
