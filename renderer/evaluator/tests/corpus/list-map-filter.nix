[
  (map (x: x * x) [ 1 2 3 ]) (builtins.map (x: x) [ ]) (builtins.filter (x: x > 1) [ 1 2 3 ]) (builtins.filter (x: false) [ 1 ])
  (builtins.concatMap (x: [ x (x * 10) ]) [ 1 2 ]) (builtins.concatMap (x: [ ]) [ 1 2 ])
  (builtins.genList (i: i * i) 5) (builtins.genList (i: throw "x") 0) (builtins.length (builtins.genList (i: throw "x") 3))
]
