builtins.findFile [ { prefix = ""; path = ./fixtures; } ] "nope"
