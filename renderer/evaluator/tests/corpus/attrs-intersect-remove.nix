[
  (builtins.intersectAttrs { a = throw "left"; b = 0; z = 0; } { a = 1; b = 2; c = 3; }) (builtins.intersectAttrs { } { a = 1; })
  (builtins.removeAttrs { a = 1; b = 2; c = 3; } [ "a" "x" "c" ]) (removeAttrs { a = 1; } [ ]) (removeAttrs { } [ "a" ])
]
