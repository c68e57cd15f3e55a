# Intersections, removals, updates and orders of sets that are small, large, and laid over each other.
let
  range = from: to: builtins.genList (n: from + n) (to - from);
  name = n: "a-rather-long-name-${toString n}";
  set = from: to: value: builtins.listToAttrs (map (n: { name = name n; value = value + n; }) (range from to));
  sizes = [ 0 1 3 8 9 40 200 ];
  summary = attrs: {
    names = builtins.hashString "sha256" (toString (builtins.attrNames attrs));
    values = builtins.foldl' (sum: n: sum * 31 - sum * 31 / 1000003 * 1000003 + n) 0 (builtins.attrValues attrs);
  };
  pairs = builtins.concatMap (left: map (right: { inherit left right; }) sizes) sizes;
  layered = size: set 0 size 0 // { b = 1; ${name 2} = 2; } // { c = 3; } // { ${name 1} = 4; b = 5; };
in
map
  ({ left, right }: {
    inherit left right;
    shared = summary (builtins.intersectAttrs (set 0 left 0) (set (left / 2) (left / 2 + right) 1000));
    crossed = summary (builtins.intersectAttrs (layered left) (layered right));
    updated = summary (set 0 left 0 // set (left / 2) (left / 2 + right) 1000);
    without = summary (removeAttrs (layered left) ([ "b" "missing" "b" ] ++ map name (range 0 right)));
  })
  pairs
