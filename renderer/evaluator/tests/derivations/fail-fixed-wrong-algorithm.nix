(derivation { name = "x"; system = "x"; builder = "y"; outputHashAlgo = "sha1"; outputHash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; }).drvPath
