(derivation { name = "x"; system = { }; builder = "y"; }).drvPath
