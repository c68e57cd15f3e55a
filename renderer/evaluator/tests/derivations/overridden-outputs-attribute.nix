let
  show = import ./lib/show.nix;
in
show (derivation { name = "overridden"; system = "x86_64-linux"; builder = "/bin/sh"; out = "not an output path"; dev = 1; outputs = [ "out" ]; })
