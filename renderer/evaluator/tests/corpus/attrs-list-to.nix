[
  (builtins.listToAttrs [ { name = "b"; value = 1; } { name = "a"; value = 2; } { name = "b"; value = throw "first wins"; } ])
  (builtins.listToAttrs [ ]) (builtins.listToAttrs [ { name = "x"; value = 1; extra = throw "ignored"; } ])
  (builtins.attrNames (builtins.listToAttrs [ { name = "lazy"; value = throw "lazy"; } ]))
]
