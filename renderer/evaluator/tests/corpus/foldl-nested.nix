builtins.foldl' (acc: x: acc // { ${x} = (acc.${x} or 0) + 1; }) { } [ "b" "a" "b" "c" "b" ]
