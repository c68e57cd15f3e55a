[
  (builtins.fromJSON "null") (builtins.fromJSON "[1, -2, 3.5, 1e2, true, false]") (builtins.fromJSON ''{"b": {"a": []}, "a": "x\n\u00e9\ud834\udd1e\/"}'') (builtins.fromJSON " \n\t 1 ")
  (builtins.fromJSON ''{"a": 1, "a": 2}'') (builtins.fromJSON "9223372036854775807") (builtins.fromJSON "-9223372036854775808") (builtins.fromJSON "1.0") (builtins.fromJSON "0.1e1") (builtins.fromJSON ''""'') (builtins.fromJSON "[]") (builtins.fromJSON "{}")
  (builtins.fromJSON (builtins.toJSON { a = [ 1 { b = null; } ]; })) (builtins.fromJSON "-0") (builtins.fromJSON "1E+2")
]
