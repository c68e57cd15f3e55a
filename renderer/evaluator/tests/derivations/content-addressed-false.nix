let
  show = import ./lib/show.nix;
in
show (derivation { name = "content-addressed-false"; system = "x86_64-linux"; builder = "/bin/sh"; __contentAddressed = false; })
