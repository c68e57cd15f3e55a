[
  (builtins.any (x: x) [ ]) (builtins.all (x: x) [ ]) (builtins.any (x: x == 1) [ 1 (throw "not forced") ])
  (builtins.all (x: x == 2) [ 1 (throw "not forced") ]) (builtins.all (x: x < 5) [ 1 2 3 ])
]
