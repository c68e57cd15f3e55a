let path = [ { prefix = "fix"; path = ./fixtures; } { prefix = ""; path = ./fixtures/tree; } ]; in
map baseNameOf [ (builtins.findFile path "fix/text") (builtins.findFile path "a") (builtins.findFile path "fix") (builtins.findFile path "sub/b") ]
