let
  show = import ./lib/show.nix;
in
show (derivation { name = "builder-builtin"; system = "builtin"; builder = "builtin:buildenv"; derivations = [ ]; manifest = "/dummy"; })
