(derivation { name = "x"; system = "x"; builder = "y"; src = ./fixtures/nope; }).drvPath
