let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "args-coerced"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ 1 true false null ./fixtures/file.txt (base "dependency") [ "a" "b" ] 1.5 ]; })
