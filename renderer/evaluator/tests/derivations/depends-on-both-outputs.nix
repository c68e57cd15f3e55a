let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "depends-on-both-outputs"; system = "x86_64-linux"; builder = "/bin/sh"; x = [ (base "a") (base "a").dev ]; y = "${base "b"}/lib:${(base "b").dev}/include"; })
