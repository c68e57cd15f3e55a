(derivation { name = "x"; system = "x"; builder = "y"; __impure = true; }).drvPath
