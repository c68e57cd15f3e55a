let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "structured-attrs-outputs"; system = "x86_64-linux"; builder = "/bin/sh"; __structuredAttrs = true; outputs = [ "out" "dev" ]; args = [ "-x" (base "a").dev ]; })
