let d = derivation { name = "n"; system = "s"; builder = "/b"; outputs = [ "out" "dev" ]; args = [ "-e" ]; x = 1; }; in
[ (builtins.attrNames d) d.type d.outputName d.dev.outputName (builtins.attrNames d.dev) (map (o: o.outPath) d.all) d.drvAttrs d.x (d == d.dev) (d.outPath == d.out.outPath) (toString d == d.outPath) (builtins.attrNames d.dev == builtins.attrNames d) ]
