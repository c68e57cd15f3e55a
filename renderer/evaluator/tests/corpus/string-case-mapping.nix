let lower = "abcdefghijklmnopqrstuvwxyz"; upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"; chars = s: builtins.genList (i: builtins.substring i 1 s) (builtins.stringLength s); in
[ (builtins.replaceStrings (chars lower) (chars upper) "hello World") (builtins.replaceStrings (chars upper) (chars lower) "Hello World") ]
