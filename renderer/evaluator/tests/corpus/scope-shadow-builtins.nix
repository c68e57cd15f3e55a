let map = f: "mine"; true = false; null = 1; in [ (map 1) true null (builtins.map (x: x) [ 1 ]) ]
