[
  (builtins.functionArgs ({ a, b ? 1, c ? throw "x", ... }: 1)) (builtins.functionArgs (x: x)) (builtins.functionArgs builtins.map) (builtins.functionArgs ({ }: 1))
  (builtins.functionArgs (args@{ z, a ? 2 }: 1))
]
