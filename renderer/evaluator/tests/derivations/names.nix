let
  show = import ./lib/show.nix;
in
map (name: show (derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; })) [ "a" "A-1.0" "a+b" "a?b=c" "a_b.c" "0" "-a" "a-" "name.with.drv.inside" (builtins.concatStringsSep "" (builtins.genList (i: "x") 200)) ]
