(derivation { name = builtins.concatStringsSep "" (builtins.genList (i: "x") 212); system = "x"; builder = "y"; }).drvPath
