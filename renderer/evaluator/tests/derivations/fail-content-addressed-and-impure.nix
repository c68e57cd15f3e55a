(derivation { name = "x"; system = "x"; builder = "y"; __contentAddressed = true; __impure = true; }).drvPath
