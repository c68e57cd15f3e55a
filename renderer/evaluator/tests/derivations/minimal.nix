let
  show = import ./lib/show.nix;
in
show (derivation { name = "minimal"; system = "x86_64-linux"; builder = "/bin/sh"; })
