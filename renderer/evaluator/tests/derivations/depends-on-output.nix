let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "depends-on-output"; system = "x86_64-linux"; builder = "/bin/sh"; dependency = (base "a").dev; })
