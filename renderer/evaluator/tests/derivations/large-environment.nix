let
  show = import ./lib/show.nix;
in
show (derivation ({ name = "large-environment"; system = "x86_64-linux"; builder = "/bin/sh"; } // builtins.listToAttrs (builtins.genList (i: { name = "variable${toString i}"; value = "value ${toString (i * i)}"; }) 300)))
