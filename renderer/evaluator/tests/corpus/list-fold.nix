[
  (builtins.foldl' (a: b: a + b) 0 [ 1 2 3 ]) (builtins.foldl' (a: b: a ++ [ b ]) [ ] [ 1 2 3 ]) (builtins.foldl' (a: b: b) (throw "start is lazy") [ 1 2 ])
  (builtins.foldl' (a: b: [ b a ]) null [ 1 2 ]) (builtins.foldl' (a: b: a) 1 [ (throw "elements are lazy") ]) (builtins.foldl' (x: y: throw "x") 9 [ ])
]
