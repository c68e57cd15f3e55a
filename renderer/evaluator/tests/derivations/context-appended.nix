let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "context-appended"; system = "x86_64-linux"; builder = "/bin/sh"; text = builtins.appendContext "plain" (builtins.getContext "${(base "a").dev}"); })
