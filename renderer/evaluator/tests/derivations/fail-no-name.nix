derivation { system = "x"; builder = "y"; }
