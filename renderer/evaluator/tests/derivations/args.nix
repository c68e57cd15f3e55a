let
  show = import ./lib/show.nix;
in
show (derivation { name = "args"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo \"$out\"\n\t\r\\" "" "é" ]; })
