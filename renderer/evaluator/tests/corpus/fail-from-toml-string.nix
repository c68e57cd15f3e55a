builtins.fromTOML ''a = "b''
