let a = { inherit b; c = 1; }; b = { inherit (a) c; }; in a
