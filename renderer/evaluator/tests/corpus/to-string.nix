[
  (toString 1) (toString (-5)) (toString 1.0) (toString 1.5) (toString 1.0e10) (toString 0.1) (toString true) (toString false) (toString null) (toString "s") (toString /a/b)
  (toString [ ]) (toString [ 1 [ 2 3 ] "x" ]) (toString { outPath = "/o"; }) (toString { __toString = s: "t"; }) (toString [ true null false ])
  (toString { __toString = s: { outPath = "/nested"; }; })
]
