# Evaluates an environment that is written as modules, with the lib of nixpkgs that the caller passes, to what
# `mkEnvironment` gives, and `definitions`: what users wrote, so that the renderer finds the places of attributes.
let
  assemble = import ../assemble.nix;
  collect = import ./collect.nix;
  merging = import ./merge.nix;
  inherit (merging) discharge;
  evalWorkload = import ./workload.nix;
  class = "niphasEnvironment";

  # How far definitions are from the workload; the nearest count first.
  levels = {
    workload = 0;
    group = 1;
    environment = 2;
    everywhere = 3;
  };

  # Messages about arguments have this name.
  evalEnvironment =
    {
      lib,
      modules,
      # Modules for every workload, below those of the environment: what several environments share.
      defaults ? [ ],
      # Further arguments of all modules; and of the workloads' modules, by system.
      specialArgs ? { },
      argumentsFor ? system: { },
    }:
    let
      collected = collect {
        inherit lib class modules;
        arguments = { inherit lib; inherit (evaluated) config options; } // specialArgs;
        moduleArguments = name: evaluated._module.args.${name};
      };
      evaluated = lib.evalModules {
        inherit class specialArgs;
        modules = [ ./environment.nix ] ++ map (one: {
          _file = one.file;
          options = one.options or { };
          inherit (one) config;
        }) collected;
      };
      inherit (evaluated) config;

      systems = config.systems;
      pkgs = lib.genAttrs systems config.pkgsFor;

      level = name: modules: { inherit modules; level = levels.${name}; };
      # Of the environment: `{ web = [ { below; module; positionOf; } … ]; }`.
      members = lib.zipAttrs (
        map (of: builtins.mapAttrs (_: module: { inherit module; inherit (of) below positionOf; }) of.workloads) (
          [ (config // { below = [ ]; }) ]
          ++ map (group: group // { below = [ (level "group" [ group.defaults ]) ]; }) (
            builtins.attrValues config.groups
          )
        )
      );
      shared = [
        (level "everywhere" defaults)
        (level "environment" [ config.defaults ])
      ];

      evaluate =
        name: system:
        evalWorkload {
          inherit lib;
          levels =
            shared
            ++ builtins.concatMap (of: of.below) members.${name}
            ++ [ (level "workload" (map (of: of.module) members.${name})) ];
          arguments =
            specialArgs
            // argumentsFor system
            // {
              inherit name system;
              inherit (config) namespace;
              pkgs = pkgs.${system};
            };
        };
      workloads = builtins.mapAttrs (name: _: builtins.mapAttrs (system: _: evaluate name system) pkgs) members;

      # The sets of the environment's own definitions, without properties.
      definitions = builtins.filter builtins.isAttrs (
        map (one: one.value) (
          builtins.concatMap (one: discharge { inherit (one) file; value = one.config; }) (lib.reverseList collected)
        )
      );
      # Of a module's definitions only these: their positions are read from them.
      head = map (builtins.intersectAttrs { kubernetes = null; namespace = null; objects = null; systems = null; }) definitions;
    in
    assemble {
      inherit pkgs;
      head = { inherit systems; inherit (config) kubernetes manifests namespace objects; };
      placeOf =
        name:
        merging.placeOf name (
          builtins.foldl' (found: set: if set ? ${name} then set else found) { } definitions
        ) "the environment";
      names = members;
      positionOf =
        name:
        let
          found = builtins.filter (position: position != null) (map (of: of.positionOf name) members.${name});
        in
        if found == [ ] then null else builtins.head found;
      attributesOf = name: system: workloads.${name}.${system}.attributes;
    }
    // {
      definitions = {
        environment = head;
        workloads = builtins.mapAttrs (_: builtins.mapAttrs (_: workload: workload.definitions)) workloads;
      };
    };
in
evalEnvironment
