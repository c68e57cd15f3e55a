let
  show = import ./lib/show.nix;
in
show (derivation { name = "filter-source-file"; system = "x86_64-linux"; builder = "/bin/sh"; src = builtins.filterSource (p: t: true) ./fixtures/file.txt; })
