[
  (true && false) (true || (throw "not forced")) (false && (throw "not forced")) (!true)
  (false -> (throw "not forced")) (true -> true) (true -> false) (false -> false -> false)
  (!false && true) (false || true && false) (1 == 1 && 2 == 2) (!(1 == 2))
]
