[
  (builtins.genericClosure { startSet = [ { key = 1; } ]; operator = i: if i.key < 4 then [ { key = i.key + 1; } { key = i.key * 2; } ] else [ ]; })
  (builtins.genericClosure { startSet = [ ]; operator = throw "never"; })
  (builtins.genericClosure { startSet = [ { key = "a"; n = 1; } { key = "a"; n = 2; } { key = "b"; n = 3; } ]; operator = i: [ ]; })
  (builtins.genericClosure { startSet = [ { key = [ 1 "x" ]; } ]; operator = i: [ { key = [ 1 "x" ]; again = true; } ]; })
  (map (i: i.key) (builtins.genericClosure { startSet = [ { key = ./b; } { key = ./a; } { key = ./b; } ]; operator = i: [ ]; }) == [ ./b ./a ])
]
