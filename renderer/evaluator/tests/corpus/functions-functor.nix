let
  counter = { n = 1; __functor = self: x: self.n + x; };
  nested = { __functor = self: { __functor = s: x: x * 2; }; };
in
[ (counter 4) ((counter // { n = 10; }) 4) (nested 21) (map counter [ 1 2 ]) (builtins.isFunction counter) (builtins.functionArgs ({ a, b ? 1 }: a)) ]
