# Operands that are there, and operands that are not; results that fit, and those that do not.
let
  max = 9223372036854775807;
  min = -9223372036854775807 - 1;
  try = value: (builtins.tryEval value).value;
  lazy = x: builtins.seq x (y: x + y);
  choose = a: b: if a < b then "less" else if a == b then "same" else if a >= b then "more" else "no";
  delayed = n: let twice = n * 2; less = twice < n; in { inherit twice less; sum = twice + n; };
in
{
  choices = map (a: map (b: choose a b) [ min (-1) 0 1.5 2 max ]) [ min 0 1 2.0 max ];
  sums = map (a: lazy a 1) [ min (-1) 0 2.5 (max - 1) ];
  sorted = builtins.sort (a: b: a > b) [ 3 1 2 3 1 max min 0 2 2 9 8 7 6 5 4 1.5 ];
  stable = map (p: p.tag) (builtins.sort (a: b: a.n < b.n) (builtins.genList (tag: { inherit tag; n = tag * 7 - tag * 7 / 5 * 5; }) 40));
  delayed = map delayed [ 0 (-3) 5 ];
  digits = map toString [ 0 7 (-7) 10 (-10) max min ];
  both = [ (1 < 2 && 2 <= 2) (1 > 2 || 2 >= 3) (!(1 == 1.0)) (1 != 2 -> 2 == 3) ];
}
