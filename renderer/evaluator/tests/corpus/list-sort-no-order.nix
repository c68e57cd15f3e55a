# What becomes of a list under an order that is none, or a partial one: as the algorithm has it.
let
  numbers = n: builtins.genList (i: (i * 7919 + 13) - (i * 7919 + 13) / n * n) n;
  try = order: map (n: builtins.sort order (numbers n)) [ 0 1 2 3 15 16 17 33 40 100 ];
in
{
  always = try (a: b: true);
  never = try (a: b: false);
  coarse = try (a: b: a / 10 < b / 10);
  odd = try (a: b: builtins.bitAnd a 1 == 1);
  far = try (a: b: a + 5 < b);
}
