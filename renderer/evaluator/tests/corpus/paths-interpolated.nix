let name = "file"; in [ /tmp/${name} /tmp/${name}.nix /tmp/${name}/${name}-x ]
