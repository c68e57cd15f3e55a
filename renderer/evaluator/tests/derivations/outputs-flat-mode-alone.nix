let
  show = import ./lib/show.nix;
in
show (derivation { name = "outputs-as-string"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "out" ]; outputHashMode = "flat"; })
