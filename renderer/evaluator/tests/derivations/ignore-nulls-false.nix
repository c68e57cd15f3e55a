let
  show = import ./lib/show.nix;
in
show (derivation { name = "ignore-nulls-false"; system = "x86_64-linux"; builder = "/bin/sh"; __ignoreNulls = false; gone = null; })
