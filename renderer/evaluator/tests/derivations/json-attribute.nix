(derivation { name = "x"; system = "x"; builder = "y"; __json = "{}"; __structuredAttrs = true; }).drvPath
