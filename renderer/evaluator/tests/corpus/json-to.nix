[
  (builtins.toJSON null) (builtins.toJSON [ 1 1.5 true "s" ]) (builtins.toJSON { b = 1; a = [ ]; }) (builtins.toJSON "\"\\\n\t\r\b\u0001é→/\$") (builtins.toJSON 1.0) (builtins.toJSON 1.0e100) (builtins.toJSON 0.1)
  (builtins.toJSON { __toString = s: "t"; }) (builtins.toJSON { outPath = "/o"; other = 1; }) (builtins.toJSON (-0.0)) (builtins.toJSON 1.0e-7) (builtins.toJSON 123456789012345.0) (builtins.toJSON { }) (builtins.toJSON [ [ ] { } ])
  (builtins.toJSON 100000.0) (builtins.toJSON 1.0e15) (builtins.toJSON 1.0e16) (builtins.toJSON 1.0e17) (builtins.toJSON (1.0 / 3))
]
