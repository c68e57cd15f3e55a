let x = { __functor = x; }; in x 1
