(derivation { name = "x"; system = "y"; }).drvPath
