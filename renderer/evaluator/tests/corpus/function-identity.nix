# Functions in lists and sets are equal if they are the same value: not another that was copied from it.
let
  f = x: x;
  s = { f = x: x; g = s.f; };
  l = [ (x: x) ];
  copied = (y: y) f;
  again = s.f;
  p = builtins.map f;
in
{
  variables = [ ([ f ] == [ f ]) ({ inherit f; } == { inherit f; }) ([ map ] == [ map ]) ([ p ] == [ p ]) ];
  alias = let a = s; in [ (s == a) ([ s ] == [ a ]) (s == s // { }) (s // { a = 1; } == s // { a = 1; }) ];
  selected = [ ([ s.f ] == [ s.f ]) ({ a = s.f; } == { a = s.f; }) ({ inherit (s) f; } == { inherit (s) f; }) ([ again ] == [ again ]) ];
  selected-later = [ ([ s.g ] == [ s.g ]) ([ s.g ] == [ s.g ]) (with s; [ g ] == [ g ]) (s.f == s.f) ];
  called = [ ([ f ] == [ copied ]) ([ copied ] == [ copied ]) (map (_: f) [ 1 ] == map (_: f) [ 1 ]) ];
  builtin = [ ([ builtins.length ] == [ builtins.length ]) (map (x: x) [ map ] == [ map ]) ];
  elements = [ ([ (builtins.head l) ] == [ (builtins.head l) ]) (l == l) (builtins.elem s.f [ s.f ]) (builtins.elem f [ f ]) ];
  lists = [ (builtins.attrValues s == builtins.attrValues s) (builtins.filter (_: true) l == l) (l ++ l == l ++ l) ];
  conditional = [ ([ (if true then f else null) ] == [ f ]) ([ (let g = f; in g) ] == [ f ]) ([ (f) ] == [ f ]) ];
  argument = (y: [ y ] == [ y ]) s.f;
  default = [ (({ a ? f, b ? a }: [ a ] == [ b ]) { }) (({ a ? s.f, b ? a }: [ a ] == [ b ]) { }) (({ a }@x: [ a ] == [ x.a ]) { a = s.f; }) ];
}
