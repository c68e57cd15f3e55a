[
  ({ a = 1; b = 2; } // { b = 3; c = 4; }) ({ } // { a = 1; }) ({ a = 1; } // { })
  ({ a = { b = 1; }; } // { a = { c = 2; }; }) ({ a = throw "lazy"; } // { a = 1; }).a
  (builtins.attrNames ({ z = 1; a = throw "x"; } // { m = throw "y"; }))
]
