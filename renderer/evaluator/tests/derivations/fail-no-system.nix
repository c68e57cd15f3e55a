(derivation { name = "x"; builder = "y"; }).drvPath
