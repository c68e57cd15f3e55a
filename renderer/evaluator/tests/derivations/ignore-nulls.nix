let
  show = import ./lib/show.nix;
in
show (derivation { name = "ignore-nulls"; system = "x86_64-linux"; builder = "/bin/sh"; __ignoreNulls = true; gone = null; kept = ""; list = [ null ]; })
