let s = { a.b = 1; }; f = x: x; in
[
  (s ? a.b) (s ? a.c) (!s ? c) (s ? a && true) ([ 1 ] ++ [ 2 ] ++ [ 3 ])
  ({ a = 1; } // { a = 2; } // { a = 3; }) (f 1 + f 2) (- f 1) (f s.a.b)
  (s.a.c or 5 + 1) (f s.x.y.z or 7) (1 + 2 < 4) ("a" + "b" == "ab") (1 < 2 == true)
  (true -> false || true) ([ f ] == [ f ])
]
