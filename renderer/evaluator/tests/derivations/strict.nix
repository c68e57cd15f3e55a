let d = builtins.derivationStrict { name = "strict"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "out" "lib" ]; }; in builtins.mapAttrs (n: builtins.unsafeDiscardStringContext) d
