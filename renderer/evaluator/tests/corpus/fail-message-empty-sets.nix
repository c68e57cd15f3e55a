let e = { }; l = [ e e 1 ]; in builtins.deepSeq l ("a" + l)
