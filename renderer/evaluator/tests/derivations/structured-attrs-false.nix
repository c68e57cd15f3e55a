let
  show = import ./lib/show.nix;
in
show (derivation { name = "structured-attrs-false"; system = "x86_64-linux"; builder = "/bin/sh"; __structuredAttrs = false; x = "1"; })
