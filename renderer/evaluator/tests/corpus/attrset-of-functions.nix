let ops = { "+" = a: b: a + b; "-" = a: b: a - b; "*" = a: b: a * b; }; in map (o: ops.${o} 6 3) [ "+" "-" "*" ]
