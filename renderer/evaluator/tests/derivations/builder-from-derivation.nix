let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "builder-from-derivation"; system = "x86_64-linux"; builder = "${base "shell"}/bin/sh"; })
