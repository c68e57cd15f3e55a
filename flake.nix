{
  description = "Run Nix closures on Kubernetes, not container images";

  # No inputs: using the library adds nothing else to a lock file.
  outputs = { self }: {
    lib = import ./nixlib;

    # For flake-parts. Imported twice it counts once.
    flakeModules.default = {
      _class = "flake";
      _file = ./nixlib/flake-module.nix;
      key = "niphas#flakeModules.default";
      imports = [ (import ./nixlib/flake-module.nix self.lib) ];
    };

    # What `niphas init` writes.
    templates = {
      default = self.templates.hello;
      hello = {
        path = ./examples/templates/hello;
        description = "One web server";
      };
      shop = {
        path = ./examples/templates/shop;
        description = "Two environments with a Deployment, a StatefulSet and a CronJob";
      };
    };
  };
}
