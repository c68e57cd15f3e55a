(derivation { name = "x"; system = "x"; builder = "y"; outputHashAlgo = "sha256"; outputHash = "abc"; }).drvPath
