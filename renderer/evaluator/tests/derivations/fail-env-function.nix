(derivation { name = "x"; system = "x"; builder = "y"; f = x: x; }).drvPath
