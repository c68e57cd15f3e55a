# string + path gives a string, path + string gives a path.
let p = /foo/bar; in
[ (p + "/baz") (p + "baz") (p + "/../qux") (builtins.typeOf (p + "x")) (builtins.typeOf (p + "")) (p + p) ]
