let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "depends-on-same-twice"; system = "x86_64-linux"; builder = "/bin/sh"; x = base "a"; y = base "a"; args = [ (base "a") ]; })
