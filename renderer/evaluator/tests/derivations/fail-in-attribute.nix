(derivation { name = "x"; system = "x"; builder = "y"; text = throw "from the attribute"; }).drvPath
