# Runs up and down, which are merged as they are.
let
  up = n: builtins.genList (i: i) n;
  down = n: builtins.genList (i: n - i) n;
  key = i: { inherit i; k = i / 3; };
  sorted = list: map (e: e.i) (builtins.sort (a: b: a.k < b.k) (map key list));
in
map sorted [ (up 50 ++ down 50) (down 50 ++ up 50) (up 7 ++ down 40 ++ up 9) (down 100) (up 100) ]
