let t = builtins.toFile "x" "y"; in /. + t
