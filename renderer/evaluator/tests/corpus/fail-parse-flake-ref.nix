builtins.parseFlakeRef ":::"
