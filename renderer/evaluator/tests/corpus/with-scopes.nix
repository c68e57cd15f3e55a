# Lexical bindings win over `with`; the innermost `with` wins over the outer ones.
let a = "let"; s = { a = "s"; b = "s"; c = "s"; }; t = { b = "t"; c = "t"; }; in
[
  (with s; a) (with s; b) (with s; with t; b) (with t; with s; b) (with s; (x: x) c)
  (with { x = 1; }; with { y = 2; }; x + y) (with (throw "not forced"); a)
  (with s; let b = "inner"; in b) ((with t; { inherit b; }).b) (with { map = 5; }; map (x: x) [ ])
]
