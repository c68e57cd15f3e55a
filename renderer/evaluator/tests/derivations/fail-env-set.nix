(derivation { name = "x"; system = "x"; builder = "y"; s = { a = 1; }; }).drvPath
