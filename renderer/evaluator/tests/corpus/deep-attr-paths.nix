let s = { a = { b = { c = { d = { e = 1; }; }; }; }; }; in [ s.a.b.c.d.e (s.a.b.x.d.e or "default") (s ? a.b.c.d.e) { x.y.z.w = s.a; } ]
