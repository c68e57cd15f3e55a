builtins.path { path = ./fixtures; nam = "x"; }
