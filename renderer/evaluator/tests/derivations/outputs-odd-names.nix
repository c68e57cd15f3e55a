(derivation { name = "x"; system = "x"; builder = "y"; outputs = [ "a b" ]; }).drvPath
