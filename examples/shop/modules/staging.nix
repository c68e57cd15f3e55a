{
  imports = [ ./default.nix ];

  namespace = "shop-staging";
  defaults = {
    env.LOG_LEVEL = "debug";
    # One pod of each is enough, wherever it runs.
    highAvailability = false;
  };
  objects.Promotion.autumn.spec.discount = 50;
}
