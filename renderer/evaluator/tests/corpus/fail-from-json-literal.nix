builtins.fromJSON ''{"a": tru}''
