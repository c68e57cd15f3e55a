let
  s = {
    a = 1;
      b.c = 2;
    inherit (s) d;
    "e f" = 3;
  };
  d = 4;
  pos = n: v: let p = builtins.unsafeGetAttrPos n v; in if p == null then null else [ (baseNameOf p.file) p.line p.column ];
in
[
  (pos "a" s) (pos "b" s) (pos "c" s.b) (pos "d" s) (pos "e f" s) (pos "nope" s) (pos "a" (s // { z = 1; })) (pos "z" (s // { z = 1; }))
  (pos "a" (removeAttrs s [ "b" ])) (pos "a" (builtins.intersectAttrs { a = 1; } s)) (pos "x" (builtins.mapAttrs (n: v: v) { x = 1; }))
  (pos "n" (builtins.listToAttrs [ { name = "n"; value = 1; } ])) (pos "x" (builtins.functionArgs ({ x, y ? 1 }: x))) (pos "q" { ${"q"} = 1; })
  (pos "i" (let i = 1; in { inherit i; })) (pos "x" (builtins.zipAttrsWith (n: v: v) [ { x = 1; } ]))
]
