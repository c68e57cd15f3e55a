let
  show = import ./lib/show.nix;
in
show (derivation { name = "to-file"; system = "x86_64-linux"; builder = "/bin/sh"; text = builtins.toFile "note" "some text\n"; })
