let
  show = import ./lib/show.nix;
in
show (derivation { name = "path-flat"; system = "x86_64-linux"; builder = "/bin/sh"; src = builtins.path { path = ./fixtures/file.txt; recursive = false; }; })
