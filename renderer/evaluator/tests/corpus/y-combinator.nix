let y = f: (x: f (v: x x v)) (x: f (v: x x v)); fact = y (self: n: if n < 2 then 1 else n * self (n - 1)); in map fact [ 0 1 5 10 20 ]
