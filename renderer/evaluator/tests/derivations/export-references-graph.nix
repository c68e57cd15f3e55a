let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "export-references-graph"; system = "x86_64-linux"; builder = "/bin/sh"; exportReferencesGraph = [ "graph" (base "a") "drv" (base "b").drvPath ]; })
