[ (builtins.scopedImport { y = 5; } ./fixtures/scoped.nix) (builtins.scopedImport { y = 1; map = f: xs: "overridden"; } ./fixtures/scoped.nix) ]
