# Different lengths or names decide before the elements are forced.
[
  ([ (throw "a") ] == [ ])
  ({ a = throw "a"; } == { b = throw "b"; })
  ({ a = throw "a"; } == { })
  (let x = throw "same"; s = { y = x; }; in s == { })
]
