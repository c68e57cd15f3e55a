let
  f = { a, b ? a + 1, ... }@args: [ a b (builtins.attrNames args) ];
  g = all@{ x ? 1, y ? x }: [ x y all ];
  h = { }: "empty";
in
[ (f { a = 1; }) (f { a = 1; b = 5; c = 6; }) (g { }) (g { y = 9; }) (h { }) (({ a ? b, b ? 2 }: a) { }) (({ a, ... }: a) { a = 1; z = throw "lazy"; }) ]
