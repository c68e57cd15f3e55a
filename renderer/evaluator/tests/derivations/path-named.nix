let
  show = import ./lib/show.nix;
in
show (derivation { name = "path-named"; system = "x86_64-linux"; builder = "/bin/sh"; src = builtins.path { path = ./fixtures/tree; name = "other-name"; }; })
