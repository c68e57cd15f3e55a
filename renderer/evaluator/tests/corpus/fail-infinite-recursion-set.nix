let x = x // { a = 1; }; in x
