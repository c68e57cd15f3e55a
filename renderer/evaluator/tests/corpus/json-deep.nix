let nest = n: v: if n == 0 then v else nest (n - 1) [ v ]; text = builtins.toJSON (nest 500 1); in [ (builtins.stringLength text) (builtins.toJSON (builtins.fromJSON text) == text) ]
