let s = { a = 1; } // { b = 2; } // { c = 3; }; in map (n: (builtins.unsafeGetAttrPos n s).column) [ "a" "b" "c" ]
