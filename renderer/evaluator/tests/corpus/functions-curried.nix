let f = a: b: c: [ a b c ]; g = f 1; h = g 2; in [ (h 3) (h 4) (g 5 6) (f 7 8 9) (map (f 1 2) [ 3 4 ]) ((x: y: x) 1 (throw "lazy")) ]
