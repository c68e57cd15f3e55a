let
  s = { a = 1; };
  layered = { a1 = 1; a2 = 1; a3 = 1; a4 = 1; a5 = 1; a6 = 1; a7 = 1; a8 = 1; a9 = 1; a10 = 1; a11 = 1; a12 = 1; a13 = 1; a14 = 1; a15 = 1; a16 = 1; a17 = 1; } // { b = 1; };
  gone = removeAttrs s [ "a" ];
  apart = builtins.intersectAttrs s { b = 1; };
in
[
  { }
  gone
  gone
  apart
  apart
  (removeAttrs { } [ "a" ])
  (builtins.intersectAttrs { } s)
  (builtins.intersectAttrs s { })
  s
  (removeAttrs s [ ])
  (removeAttrs s [ "b" ])
  layered
  (removeAttrs layered [ ])
  (gone // { })
  ({ } // gone)
  (gone // apart)
  (gone == { })
  (builtins.attrNames gone)
  (builtins.mapAttrs (name: value: value) gone)
]
