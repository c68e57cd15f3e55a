let lib = { f = x: x + 1; g = x: x * 2; }; in (with lib; x: f (g x)) 5
