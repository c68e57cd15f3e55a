let
  show = import ./lib/show.nix;
in
show (derivation { name = "fetch-tree-path"; system = "x86_64-linux"; builder = "/bin/sh"; src = (builtins.fetchTree { type = "path"; path = toString ./fixtures/tree; }).outPath; })
