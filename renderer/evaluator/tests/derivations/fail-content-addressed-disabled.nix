(derivation { name = "x"; system = "x"; builder = "y"; __contentAddressed = true; }).drvPath
