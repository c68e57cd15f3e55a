(derivation { name = "x"; system = "x"; builder = "y"; outputHash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; }).drvPath
