[
  (map builtins.typeOf [ 1 1.0 "s" ./a true null [ ] { } (x: x) builtins.map ])
  (map builtins.isInt [ 1 1.0 ]) (map builtins.isFloat [ 1 1.0 ]) (map builtins.isString [ "s" ./a ]) (map builtins.isPath [ "s" ./a ])
  (map builtins.isBool [ true null ]) (map isNull [ null false ]) (map builtins.isList [ [ ] { } ]) (map builtins.isAttrs [ [ ] { } ])
  (map builtins.isFunction [ (x: x) builtins.add (builtins.add 1) { __functor = s: x: x; } 1 ])
]
