(derivation { name = ""; system = "x"; builder = "y"; }).drvPath
