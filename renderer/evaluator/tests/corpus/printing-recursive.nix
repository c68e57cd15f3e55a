let x = { a = x; b = 1; }; y = [ y 2 ]; in [ x y ]
