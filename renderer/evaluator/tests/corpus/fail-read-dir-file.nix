builtins.readDir ./fixtures/text
