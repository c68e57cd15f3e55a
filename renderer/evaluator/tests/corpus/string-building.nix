builtins.stringLength (builtins.concatStringsSep "\n" (builtins.genList (i: "line ${toString i}") 5000))
