[ (builtins.attrNames { b = 1; a = 2; }) (builtins.attrValues { b = 1; a = 2; }) (builtins.attrNames { }) (builtins.attrValues { }) ]
