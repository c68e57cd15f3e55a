let
  show = import ./lib/show.nix;
in
show (derivation { name = "builder-path"; system = "x86_64-linux"; builder = ./fixtures/tree/run; })
