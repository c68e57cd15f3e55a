let d = { type = "derivation"; drvPath = "/nix/store/aaa.drv"; outPath = "/nix/store/bbb"; name = "n"; }; in builtins.toXML [ d d ]
