let
  a = 1;
  b = a + c;
  c = 10;
  inherit (x) d;
  x = { d = 4; e.f = 5; };
  y.z.w = 6;
  y.z.v = 7;
in
[ a b c d x y (let a = 2; in a) (let inherit a; in a) (let a = 3; b = a; in let a = 4; in b) ]
