let
  f = x: x;
  a = { inherit f; };
in
[
  ({ a = 1; b = 2; } == { b = 2; a = 1; })
  ({ a = 1; } == { a = 1; b = 2; })
  (f == f) (a == a) ({ inherit f; } == { inherit f; }) ([ f ] == [ f ])
  ({ type = "derivation"; outPath = "/x"; n = 1; } == { type = "derivation"; outPath = "/x"; n = 2; })
  ({ type = "derivation"; outPath = "/x"; } == { type = "derivation"; outPath = "/y"; })
  (null == null) (null == false) (true == true) ({ } == [ ])
]
