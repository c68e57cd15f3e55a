let d = { type = "derivation"; drvPath = "/nix/store/x.drv"; name = "n"; other = throw "not printed"; }; in builtins.typeOf d
