let
  show = import ./lib/show.nix;
in
let d = name: deps: derivation { inherit name deps; system = "x86_64-linux"; builder = "/bin/sh"; }; a = d "a" [ ]; b = d "b" [ a ]; c = d "c" [ a ]; in show (d "top" [ b c ])
