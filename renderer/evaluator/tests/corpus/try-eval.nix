[
  (builtins.tryEval 1) (builtins.tryEval (throw "x")) (builtins.tryEval (assert false; 1)) (builtins.tryEval { a = throw "lazy"; }).success
  (builtins.tryEval (import (throw "x"))) (builtins.tryEval (builtins.deepSeq { a = throw "x"; } 1)) (builtins.tryEval (let x = throw "y"; in [ x ])).success
  (let t = throw "again"; in [ (builtins.tryEval t).success (builtins.tryEval t).success ])
]
