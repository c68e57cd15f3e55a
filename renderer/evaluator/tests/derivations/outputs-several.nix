let
  show = import ./lib/show.nix;
in
show (derivation { name = "outputs-several"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "out" "dev" "lib" "man" ]; })
