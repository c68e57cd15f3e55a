let k = "dyn"; n = null; in
{
  a.b.c = 1; a.b.d = 2; a.e = 3; "quoted name" = 4; ${k} = 5; "x${k}y" = 6; ${n} = throw "dropped";
  if_ = 1; "if" = 2; "a-b" = 3; a-b' = 4; _x = 5; "" = 6; "1a" = 7; "é" = 8; "or" = 9;
}
