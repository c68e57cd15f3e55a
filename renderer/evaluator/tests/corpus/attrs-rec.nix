rec { a = b; b = c.d; c = { d = 1; e = a; }; inherit (c) e; f = rec { a = 2; g = a; }; "q" = a; ${"dyn"} = a; }
