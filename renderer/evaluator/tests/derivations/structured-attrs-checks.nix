let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "structured-attrs-checks"; system = "x86_64-linux"; builder = "/bin/sh"; __structuredAttrs = true; outputChecks.out = { maxSize = 1024; disallowedReferences = [ (base "a") ]; }; exportReferencesGraph.graph = [ (base "b") ]; })
