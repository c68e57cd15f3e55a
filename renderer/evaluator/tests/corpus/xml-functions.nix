builtins.toXML {
  a = { b, c ? 1, ... }@args: b;
  b = { }: 1;
  c = x: y: x;
  d = (x: y: x) 1;
  e = map;
  f = map (x: x);
  g = (x: { y }: y) 1;
  "<&\">'\n\t" = 1.5;
  h = [ null true (-1) /a/b "é" ];
}
