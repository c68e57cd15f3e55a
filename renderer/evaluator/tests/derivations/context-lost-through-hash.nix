let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "context-lost-through-hash"; system = "x86_64-linux"; builder = "/bin/sh"; hash = builtins.hashString "sha256" "${base "a"}"; matched = builtins.match ".*-(.*)" "${base "a"}"; })
