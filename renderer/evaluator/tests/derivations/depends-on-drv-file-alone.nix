let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "depends-on-drv-file-alone"; system = "x86_64-linux"; builder = "/bin/sh"; drv = builtins.unsafeDiscardOutputDependency (base "a").drvPath; })
