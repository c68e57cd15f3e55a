# As nixos-minimal, but nixpkgs is the input of a flake. Nix copies the tree to its store for that.
(builtins.getFlake ("path:" + builtins.getEnv "NIPHAS_NIXPKGS_FLAKE")).drvPath
