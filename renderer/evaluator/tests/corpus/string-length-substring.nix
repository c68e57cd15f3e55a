[
  (builtins.stringLength "") (builtins.stringLength "abc") (builtins.stringLength "é→") (builtins.substring 0 2 "hello") (builtins.substring 2 100 "hello")
  (builtins.substring 5 1 "hello") (builtins.substring 50 1 "hello") (builtins.substring 1 (-1) "hello") (builtins.substring 0 0 "hello") (builtins.substring 0 2 "é→x")
  (builtins.stringLength { outPath = "/abc"; })
]
