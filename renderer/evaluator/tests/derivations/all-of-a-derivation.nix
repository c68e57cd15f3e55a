let
  base = import ./lib/base.nix;
in
let d = base "a"; in map builtins.unsafeDiscardStringContext (map (o: o.outPath) d.all ++ [ d.out.dev.out.outPath d.dev.drvPath ])
