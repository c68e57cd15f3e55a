let
  show = import ./lib/show.nix;
in
show (derivation { name = "outputs-order"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "z" "a" "out" ]; })
