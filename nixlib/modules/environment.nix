# The options of an environment.
{ lib, options, ... }:
let
  inherit (import ./merge.nix) merge;
  inherit (lib) mkOption types;

  modulesBelow = "modules for workloads";

  # Where the workloads are defined, for what the module system makes has no positions.
  positionsIn =
    option: name:
    let
      found = lib.filter (position: position != null) (
        map (one: builtins.unsafeGetAttrPos name one.value) option.definitionsWithLocations
      );
    in
    if found == [ ] then null else lib.last found;

  positions = option: mkOption {
    type = types.raw;
    internal = true;
    readOnly = true;
    default = positionsIn option;
  };

  workloads = mkOption {
    type = types.attrsOf types.deferredModule;
    default = { };
    description = "The workloads by name, each ${modulesBelow} of its own.";
  };

  group =
    { options, ... }:
    {
      options = {
        defaults = mkOption {
          type = types.deferredModule;
          default = { };
          description = "Definitions below those of each workload of the group, above those of the environment.";
        };
        inherit workloads;
        positionOf = positions options.workloads;
      };
    };
in
{
  options = {
    # The renderer checks these two, for it can name the place in the source.
    systems = mkOption {
      type = types.raw;
      example = [ "x86_64-linux" "aarch64-linux" ];
      description = "The systems that nodes may have.";
    };
    namespace = mkOption {
      type = types.raw;
      default = null;
      example = "shop";
      description = "The namespace of every object; with null the objects name none.";
    };
    objects = mkOption {
      type = lib.mkOptionType {
        name = "objects";
        description = "list of objects, or set by kind and name";
        merge =
          loc: definitions:
          merge loc (map (one: { inherit (one) file value; level = 0; }) definitions);
      };
      default = [ ];
      description = "Objects that are no workloads.";
    };
    kubernetes = {
      version = mkOption {
        type = types.raw;
        default = null;
        example = "1.35";
        description = "The version of Kubernetes whose types objects are checked against.";
      };
      definitions = mkOption {
        type = types.listOf types.path;
        default = [ ];
        example = lib.literalExpression "[ ./crds ]";
        description = "YAML files with the CustomResourceDefinitions of kinds that the cluster has, and folders with such.";
      };
    };
    manifests = mkOption {
      type = types.listOf types.path;
      default = [ ];
      example = lib.literalExpression "[ ./manifests ]";
      description = "YAML files with objects, and folders with such.";
    };
    pkgsFor = mkOption {
      type = types.functionTo types.raw;
      example = lib.literalExpression "system: nixpkgs.legacyPackages.\${system}";
      description = "What workloads get as `pkgs` on each system.";
    };
    defaults = mkOption {
      type = types.deferredModule;
      default = { };
      description = "Definitions below those of every workload and of its group.";
    };
    groups = mkOption {
      type = types.attrsOf (types.submodule group);
      default = { };
      description = "Workloads that share defaults. The names of groups are in no object.";
    };
    inherit workloads;
    positionOf = positions options.workloads;
  };
}
