let
  show = import ./lib/show.nix;
in
show (derivation { name = "filter-source"; system = "x86_64-linux"; builder = "/bin/sh"; src = builtins.filterSource (p: t: baseNameOf p != "leaf" && baseNameOf p != "Top") ./fixtures/tree; })
