map builtins.fromTOML [
  "a.b.c = 1\na.b.d = 2"
  "[a.b]\nc = 1\n[a]\nd = 1"
  "a.b.c = 1\n[a.b.d]\nx = 1"
  "a = { b.c = 1, b.d = 2 }"
  "[[a]]\nx = 1\n[[a]]\ny = 2\n[a.b]\nz = 1\n[[a.c]]"
  "[[a.b]]\n[a]\nx = 1"
  "[ a . \"b c\" . 'd' ] # comment\r\nx = 1\r\n"
  "\"\" = 1"
  "a = [\n 1, # one\n [ 'x' ],\n { b = true },\n]"
  ""
]
