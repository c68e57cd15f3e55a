let
  show = import ./lib/show.nix;
in
show (derivation { name = "placeholders"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "out" "dev" ]; prefix = placeholder "out"; include = "${placeholder "dev"}/include"; })
