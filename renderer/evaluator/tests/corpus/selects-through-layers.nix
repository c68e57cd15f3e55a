# Places remembered for a name must not outlive a change of the set.
let
  base = builtins.listToAttrs (map (n: { name = "x${toString n}"; value = { deep = { n = n; }; }; }) (builtins.genList (n: n) 40));
  over = n: base // { top = n; } // (if n == 2 then { x7 = { deep = { n = "over"; }; }; } else { });
  read = set: [
    set.x7.deep.n
    (set.x7.deep.n or "none")
    (set ? x7.deep.n)
    (with set; x7.deep.n)
    (let inherit (set) x7; in x7.deep.n)
    (set.x7.deep.missing or set.x8.deep.n)
    (set ? x7.deep.missing)
  ];
in
map read [ base (over 1) (over 2) (over 3) { x7.deep.n = "small"; x8.deep.n = "other"; } (over 2) base ]
