builtins.fromTOML ''
  # comment
  title = "TOML \u00e9 \"x\" \t"
  literal = 'C:\path'
  multi = """
  one
  two \
     joined"""
  raw = ''''
  a\b
  ''''
  int = +1_000
  hex = 0xff
  oct = 0o17
  bin = 0b101
  float = 1.5e3
  floats = [ -0.5, 6.0, 1e6 ]
  bools = [ true, false ]
  empty = []
  nested = [ [ 1, 2 ], [ "a" ] ]
  inline = { a = 1, b.c = 2 }
  "quoted key" = 1
  a.b.c = 3
  [table]
  x = 1
  [table.sub]
  y = 2
  [[array]]
  n = 1
  [[array]]
  n = 2
  [array.child]
  z = 3
''
