let s = { a.b.c = 1; "x y" = 2; }; k = "a"; in
[
  s.a.b.c s."x y" s.${k}.b s."${k}".b.c (s.a.b.z or 1) (s.q.r.s or 2) (s.a.b.c.d or 3) (s.a or 4)
  (s ? a) (s ? a.b.c) (s ? a.b.c.d) (s ? "x y") (s ? ${k}) (1 ? a) ({ } ? a) (null ? a.b)
  ({ a = null; }.a or 5) ({ or = 1; }.or or 2)
]
