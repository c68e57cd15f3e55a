(derivation { name = "x"; system = "x"; builder = "y"; outputs = [ "dev" ]; outputHash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; }).drvPath
