let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "depends-on-many"; system = "x86_64-linux"; builder = "/bin/sh"; inputs = builtins.genList (i: base "input-${toString i}") 40; })
