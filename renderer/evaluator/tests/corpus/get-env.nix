[ (builtins.getEnv "NIPHAS_SURELY_UNSET") (builtins.isString (builtins.getEnv "HOME")) ]
