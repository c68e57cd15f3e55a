[ (x: x) builtins.map (builtins.map (x: x)) ({ a, b ? 1, ... }@c: a) { x = y: y; } ]
