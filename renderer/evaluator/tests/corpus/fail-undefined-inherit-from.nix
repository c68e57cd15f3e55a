let a = y; inherit (x) b; in a
