let
  show = import ./lib/show.nix;
in
let inner = builtins.toFile "inner" "x"; in show (derivation { name = "to-file-referring"; system = "x86_64-linux"; builder = "/bin/sh"; text = builtins.toFile "outer" "see ${inner} and ${./fixtures/file.txt} and ${inner}"; })
