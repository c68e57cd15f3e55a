# A sort of 300,000 numbers in no order, with a comparison written in Nix.
let
  count = 300000;
  numbers = builtins.genList (n: n * 7919 - n * 7919 / 300007 * 300007) count;
  sorted = builtins.sort (a: b: a < b) numbers;
in
map (builtins.elemAt sorted) [ 0 1 (count / 2) (count - 1) ]
