let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "pass-as-file"; system = "x86_64-linux"; builder = "/bin/sh"; passAsFile = [ "script" "text" ]; script = "echo ${base "a"}"; text = "long"; })
