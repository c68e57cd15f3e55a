let
  show = import ./lib/show.nix;
in
show (derivation { name = "path-with-hash"; system = "x86_64-linux"; builder = "/bin/sh"; src = builtins.path { path = ./fixtures/file.txt; recursive = false; sha256 = builtins.hashFile "sha256" ./fixtures/file.txt; }; })
