[ (builtins.unsafeDiscardStringContext (builtins.toFile "empty" "")) (builtins.unsafeDiscardStringContext (builtins.toFile "a.b_c+d?e=f-1" "x")) ]
