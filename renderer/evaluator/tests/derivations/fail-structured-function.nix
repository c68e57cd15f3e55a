(derivation { name = "x"; system = "x"; builder = "y"; __structuredAttrs = true; f = x: x; }).drvPath
