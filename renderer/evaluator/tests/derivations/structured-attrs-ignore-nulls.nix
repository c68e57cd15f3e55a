let
  show = import ./lib/show.nix;
in
show (derivation { name = "structured-attrs-ignore-nulls"; system = "x86_64-linux"; builder = "/bin/sh"; __structuredAttrs = true; __ignoreNulls = true; gone = null; nested.kept = null; })
