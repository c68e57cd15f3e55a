# Sets: built, mapped, merged, filtered and looked up.
let
  names = builtins.genList (n: "name${toString n}") 40000;
  from = value: builtins.listToAttrs (map (name: { inherit name value; }) names);
  merged = from 1 // builtins.mapAttrs (name: value: value + 1) (from 2);
  grouped = builtins.groupBy (name: builtins.substring 0 6 name) names;
  # Many small ones: what a package tree is made of.
  overlays = builtins.genList (n: final: prev: { ${"a${toString (n - n / 50 * 50)}"} = prev.a0 or 0 + n; }) 8000;
  small = builtins.foldl' (prev: overlay: prev // overlay { } prev) { } overlays;
  pick = { a, b ? a, ... }@all: a + b + all.c;
  calls = builtins.foldl' (sum: n: sum + pick { a = n; c = 1; d = sum; }) 0 (builtins.genList (n: n) 150000);
in
{
  sum = builtins.foldl' (sum: name: sum + merged.${name}) 0 names;
  groups = builtins.mapAttrs (_: builtins.length) grouped;
  left = builtins.length (builtins.attrNames (removeAttrs merged names));
  shared = builtins.length (builtins.attrValues (builtins.intersectAttrs (from 1) merged));
  small = builtins.attrNames small;
  inherit calls;
}
