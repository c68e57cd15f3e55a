# Names are sorted by bytes.
builtins.attrNames { b = 1; a = 1; B = 1; _ = 1; "-" = 1; "10" = 1; "9" = 1; "é" = 1; "~" = 1; "aa" = 1; "" = 1; a' = 1; }
