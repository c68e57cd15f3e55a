let
  show = import ./lib/show.nix;
in
show (derivation { name = "source-executable"; system = "x86_64-linux"; builder = "/bin/sh"; src = ./fixtures/tree/run; })
