# `derivation` in another set: only its own attributes count.
let
  show = import ./lib/show.nix;
in
let d = derivation { name = "extended"; system = "x86_64-linux"; builder = "/bin/sh"; }; e = d // { passthru = 1; name = "other"; }; in [ (show e) (show (derivation { name = "user"; system = "x86_64-linux"; builder = "/bin/sh"; inherit e; })) ]
