(derivation { name = "x"; system = "x"; builder = "y"; outputs = [ ]; }).drvPath
