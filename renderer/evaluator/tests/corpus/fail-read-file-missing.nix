builtins.readFile ./fixtures/nope
