# The shop as modules: what both environments have in common.
{ config, lib, ... }:
{
  imports = [ ./front.nix ./back.nix ];

  manifests = [ ../manifests ];
  defaults.labels.team = "shop";

  objects = {
    Namespace.${config.namespace}.metadata.labels."pod-security.kubernetes.io/enforce" = "restricted";
    ConfigMap.settings.data."limits.json" = builtins.toJSON { orders = 100; };
    # Of a kind that ../manifests defines.
    Promotion.autumn = {
      apiVersion = "shop.example.org/v1";
      spec = { discount = lib.mkDefault 10; articles = [ "tea" ]; };
    };
  };
}
