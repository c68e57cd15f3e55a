# Objects that are no workloads, as Kubernetes has them.
{ namespace, discount }:
{
  Namespace.${namespace}.metadata.labels."pod-security.kubernetes.io/enforce" = "restricted";
  ConfigMap.settings.data."limits.json" = builtins.toJSON { orders = 100; };
  # Of a kind that ./manifests defines.
  Promotion.autumn = {
    apiVersion = "shop.example.org/v1";
    spec = { inherit discount; articles = [ "tea" ]; };
  };
}
