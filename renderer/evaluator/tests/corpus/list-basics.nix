[
  (builtins.length [ ]) (builtins.length [ 1 2 ]) (builtins.head [ 1 2 ]) (builtins.tail [ 1 2 3 ]) (builtins.tail [ 1 ])
  (builtins.elemAt [ 1 2 3 ] 1) (builtins.elem 2 [ 1 2 ]) (builtins.elem 2.0 [ 1 2 ]) (builtins.elem [ 1 ] [ [ 1 ] ]) (builtins.elem 1 [ ])
]
