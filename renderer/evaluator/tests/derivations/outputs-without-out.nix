let
  show = import ./lib/show.nix;
in
show (derivation { name = "outputs-without-out"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "bin" "lib" ]; })
