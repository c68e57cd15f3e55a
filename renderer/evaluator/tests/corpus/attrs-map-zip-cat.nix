[
  (builtins.mapAttrs (n: v: n + toString v) { a = 1; b = 2; }) (builtins.attrNames (builtins.mapAttrs (n: v: throw "lazy") { a = 1; }))
  (builtins.zipAttrsWith (n: vs: { inherit n vs; }) [ { a = 1; } { a = 2; b = 3; } { } ]) (builtins.zipAttrsWith (n: vs: vs) [ ])
  (builtins.catAttrs "a" [ { a = 1; } { b = 2; } { a = 3; } ]) (builtins.catAttrs "a" [ ])
]
