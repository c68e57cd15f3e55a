let
  show = import ./lib/show.nix;
in
let a = derivation { name = "a"; system = "x86_64-linux"; builder = "/bin/sh"; text = "b is ${b.name}"; }; b = derivation { name = "b"; system = "x86_64-linux"; builder = "/bin/sh"; inherit a; }; in map show [ a b ]
