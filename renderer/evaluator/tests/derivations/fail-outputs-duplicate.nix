(derivation { name = "x"; system = "x"; builder = "y"; outputs = [ "out" "out" ]; }).drvPath
