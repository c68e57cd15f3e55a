let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "depends-on-drv-outputs-again"; system = "x86_64-linux"; builder = "/bin/sh"; drv = builtins.addDrvOutputDependencies (builtins.unsafeDiscardOutputDependency (base "a").drvPath); })
