let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "depends-on-drv-path-deep"; system = "x86_64-linux"; builder = "/bin/sh"; drv = (derivation { name = "mid"; system = "x86_64-linux"; builder = "/bin/sh"; dep = base "a"; src = ./fixtures/file.txt; }).drvPath; })
