let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "context-kept-through-strings"; system = "x86_64-linux"; builder = "/bin/sh"; a = builtins.substring 0 0 "${base "a"}"; b = builtins.replaceStrings [ "x" ] [ "${base "b"}" ] "x"; c = builtins.concatStringsSep "${base "c"}" [ "1" "2" ]; d = builtins.toJSON { drv = base "d"; }; e = baseNameOf "${base "e"}"; f = dirOf "${base "f"}/x"; })
