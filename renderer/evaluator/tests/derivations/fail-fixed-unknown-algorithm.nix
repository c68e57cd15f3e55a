(derivation { name = "x"; system = "x"; builder = "y"; outputHashAlgo = "sha3"; outputHash = "abc"; }).drvPath
