{ a = { x = 1; }; a.y = 2; b.c = 1; b = { d = 2; }; c = rec { p = 1; q = p; }; c.r = 3; }
