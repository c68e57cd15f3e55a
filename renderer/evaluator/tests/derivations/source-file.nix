let
  show = import ./lib/show.nix;
in
show (derivation { name = "source-file"; system = "x86_64-linux"; builder = "/bin/sh"; src = ./fixtures/file.txt; })
