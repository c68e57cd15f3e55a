builtins.appendContext "x" { "/nix/store/ddvn1h6sgb0i3hqvmvmpmm1ycqfs8cqd-x" = { outputs = [ "out" ]; }; }
