(derivation { name = "x.drv"; system = "x"; builder = "y"; }).drvPath
