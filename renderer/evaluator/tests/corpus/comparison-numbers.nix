[
  (1 < 2) (2 <= 2) (3 > 2) (2 >= 3) (1 < 1.5) (1.5 < 2) (1 == 1.0) (1.0 == 1) (1 != 1.0)
  (builtins.lessThan 1 2) (builtins.lessThan 2 1)
]
