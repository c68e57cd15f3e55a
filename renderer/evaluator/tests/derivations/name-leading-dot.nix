(derivation { name = ".hidden"; system = "x"; builder = "y"; }).outPath
