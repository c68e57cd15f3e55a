(derivation { name = "x"; system = "x"; builder = "y"; outputs = [ "drv" ]; }).drvPath
