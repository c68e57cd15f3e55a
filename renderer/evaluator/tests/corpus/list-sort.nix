[
  (builtins.sort (a: b: a < b) [ 3 1 2 ]) (builtins.sort builtins.lessThan [ "b" "a" "C" ]) (builtins.sort (a: b: a > b) [ ])
  (builtins.sort (a: b: a.k < b.k) [ { k = 1; v = "a"; } { k = 0; v = "b"; } { k = 1; v = "c"; } { k = 0; v = "d"; } ])
  (builtins.sort (a: b: false) [ 3 1 2 ]) (builtins.sort builtins.lessThan [ 1.5 1 2 0.5 ]) (builtins.sort builtins.lessThan [ [ 2 ] [ 1 5 ] [ 1 ] ])
]
