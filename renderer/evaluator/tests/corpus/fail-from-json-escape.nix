builtins.fromJSON ''"a\q"''
