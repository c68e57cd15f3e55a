(derivation { name = "x"; system = "x"; builder = "y"; args = "x"; }).drvPath
