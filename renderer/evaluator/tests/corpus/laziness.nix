let
  inf = n: { head = n; tail = inf (n + 1); };
  xs = [ 1 (throw "never") 3 ];
in
[
  (inf 1).tail.tail.head (builtins.length xs) (builtins.elemAt xs 2) (builtins.head [ 1 (throw "x") ])
  ({ a = throw "x"; b = 2; }).b (if true then 1 else throw "x") ((x: 1) (throw "x")) (builtins.attrNames { a = throw "x"; })
  (let a = throw "x"; in 5) (builtins.isAttrs { a = throw "x"; }) (builtins.length (map (x: throw "x") [ 1 2 ]))
]
