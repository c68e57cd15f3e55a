builtins.flakeRefToString { type = "nope"; }
