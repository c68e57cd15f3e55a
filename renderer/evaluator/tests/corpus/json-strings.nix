[
  (builtins.fromJSON ''"\u00e9\ud83d\ude00\b\f\n\r\t\/\\\""'')
  (builtins.toJSON (builtins.fromJSON ''["\u0001\u001f\u007f\u2028", {"é": 1, "a": {"b": [], "a": {}}}]''))
  (builtins.fromJSON ''{"a": 1, "b": {"a": 2, "a": 3}, "a": 4}'')
  (builtins.fromJSON "  [ ]\n")
]
