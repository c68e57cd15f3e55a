let a = 1; s = { b = 2; "c d" = 3; }; in { inherit a; inherit (s) b "c d"; inherit ({ e = 4; }) e; inherit; x = { inherit a; }; }
