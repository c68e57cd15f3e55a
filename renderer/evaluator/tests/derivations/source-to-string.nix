let
  show = import ./lib/show.nix;
in
show (derivation { name = "source-to-string"; system = "x86_64-linux"; builder = "/bin/sh"; where = baseNameOf (toString ./fixtures/tree); })
