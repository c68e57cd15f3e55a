let
  show = import ./lib/show.nix;
in
show (derivation { name = "path-filter-types"; system = "x86_64-linux"; builder = "/bin/sh"; src = builtins.path { path = ./fixtures/tree; filter = p: t: t == "directory" || t == "regular"; }; })
