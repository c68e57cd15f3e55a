let x = 1; s = rec { ${"x"} = 2; y = x; }; in s
