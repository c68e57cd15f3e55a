let
  show = import ./lib/show.nix;
in
show (derivation { name = "env-kinds"; system = "x86_64-linux"; builder = "/bin/sh"; int = -7; float = 2.5; yes = true; no = false; nothing = null; list = [ 1 "two" [ 3 ] null ]; empty = ""; string = "s"; withOutPath = { outPath = "/x"; }; withToString = { __toString = self: "ts"; }; })
