# The module system of nixpkgs' lib: 240 services, each with submodules.
let
  lib = import (builtins.getEnv "NIPHAS_NIXPKGS_LIB" + "/lib");
  inherit (lib) mkOption types;

  port = {
    options = {
      number = mkOption { type = types.port; };
      protocol = mkOption { type = types.enum [ "TCP" "UDP" ]; default = "TCP"; };
      exposed = mkOption { type = types.bool; default = false; };
    };
  };

  service = { name, config, ... }: {
    options = {
      enable = mkOption { type = types.bool; default = true; };
      image = mkOption { type = types.str; default = "registry/${name}"; };
      replicas = mkOption { type = types.ints.positive; default = 1; };
      environment = mkOption { type = types.attrsOf types.str; default = { }; };
      arguments = mkOption { type = types.listOf types.str; default = [ ]; };
      ports = mkOption { type = types.attrsOf (types.submodule port); default = { }; };
      labels = mkOption { type = types.attrsOf types.str; default = { }; };
    };
    config = {
      labels.app = name;
      labels.size = lib.mkDefault (if config.replicas > 2 then "large" else "small");
    };
  };

  module = { config, ... }: {
    options.services = mkOption { type = types.attrsOf (types.submodule service); default = { }; };
    options.total = mkOption { type = types.int; };
    config.total = lib.foldl' (sum: s: sum + s.replicas) 0 (lib.attrValues config.services);
  };

  some = n: {
    services."service-${toString n}" = {
      replicas = lib.mkIf (lib.mod n 3 == 0) 3;
      environment = { A = "a"; N = toString n; };
      arguments = lib.mkBefore [ "--number" (toString n) ];
      ports.http.number = 8000 + n;
      ports.metrics = { number = 9000 + n; exposed = true; };
    };
  };

  more = n: { services."service-${toString n}".arguments = [ "--verbose" ]; };
in
(lib.evalModules {
  modules = [ module ] ++ map some (lib.range 1 240) ++ map more (lib.range 1 240);
}).config
