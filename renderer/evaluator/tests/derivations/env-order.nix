let
  show = import ./lib/show.nix;
in
show (derivation { name = "env-order"; system = "x86_64-linux"; builder = "/bin/sh"; z = "1"; a = "2"; Z = "3"; _ = "4"; "10" = "5"; "9" = "6"; })
