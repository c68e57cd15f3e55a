let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "structured-attrs"; system = "x86_64-linux"; builder = "/bin/sh"; __structuredAttrs = true; int = 1; float = 1.5; bool = true; nothing = null; list = [ 1 "a" [ ] { } ]; nested = { b.c = "d"; a = [ ]; }; dependency = base "a"; path = ./fixtures/file.txt; text = "é\n\"\\"; })
