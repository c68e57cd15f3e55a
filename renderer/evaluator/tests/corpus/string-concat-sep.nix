[
  (builtins.concatStringsSep ", " [ "a" "b" "c" ]) (builtins.concatStringsSep "" [ "x" "y" ]) (builtins.concatStringsSep "-" [ ]) (builtins.concatStringsSep "-" [ "one" ])
  (builtins.concatStringsSep " " [ { outPath = "/o"; } { __toString = s: "t"; } "" ])
]
