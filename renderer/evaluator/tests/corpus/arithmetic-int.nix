# Integers are 64-bit; division truncates towards zero.
[
  (7 / 2) (-7 / 2) (7 / -2) (-7 / -2) (1 - 2 - 3) (2 * 3 + 4) (2 + 3 * 4)
  (- - 3) (-(3)) (0 - 0) 9223372036854775807 (-9223372036854775807 - 1)
  (builtins.add 1 2) (builtins.sub 1 2) (builtins.mul 3 4) (builtins.div 9 4)
]
