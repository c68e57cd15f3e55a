(derivation { name = "x"; system = "x"; builder = "y"; outputHashMode = "tree"; outputHash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; }).drvPath
