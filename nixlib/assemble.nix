# `assemble { head, pkgs, names, positionOf, attributesOf }`: what an environment evaluates to, as the renderer reads it.
#
#   head                         set: what the user gave of `namespace`, `systems`, `kubernetes`, `objects` and `manifests`, with
#                                their positions
#   pkgs                         set: by system
#   names                        set: its names are the workloads'
#   positionOf name              where a workload is defined, or null
#   attributesOf name system     what the user wrote of a workload, merged
#   placeOf name                 where an attribute of the environment is defined, for messages
let
  # The output of a package that holds its programs. An output that the user chose stays chosen.
  programsOf =
    package: if package.outputSpecified or false then package else package.bin or package.out or package;

  programOf = package: {
    package = if package == null then null else programsOf package;
    mainProgram = package.meta.mainProgram or null;
  };

  describe =
    attributes:
    let
      isSet = builtins.isAttrs attributes;
      # The lists of containers that there are, and each with a function over its containers.
      lists = if isSet then builtins.intersectAttrs { containers = null; initContainers = null; } attributes else { };
      overContainers =
        function:
        builtins.mapAttrs (
          # The renderer finds fault with what is no set.
          _: list: if builtins.isAttrs list then builtins.mapAttrs (_: function) list else list
        ) lists;
      own = removeAttrs attributes [ "package" "roots" ];
    in
    programOf (attributes.package or null)
    // {
      attributes =
        if !isSet then
          attributes
        else if lists == { } then
          own
        else
          own
          // overContainers (
            container: if builtins.isAttrs container then removeAttrs container [ "package" ] else container
          );
    }
    // (
      if lists == { } then
        { }
      else
        {
          programs = overContainers (
            container: if container == null then null else programOf (container.package or null)
          );
        }
    )
    // (if attributes.roots or null != null then { inherit (attributes) roots; } else { });
in
{ head, pkgs, names, positionOf, attributesOf, placeOf }:
let
  filesOf = name: import ./manifests.nix "`${name}` ${placeOf name}";
  # The renderer finds fault with what is no set, and names its place.
  perWorkload = function: if builtins.isAttrs names then builtins.mapAttrs function names else names;
  evaluated = perWorkload (
    name: _: builtins.mapAttrs (system: _: describe (attributesOf name system)) pkgs
  );
in
{
  _type = "niphas-environment";
  version = 1;
  namespace = null;
  # What mapAttrs makes has no positions.
  positions = perWorkload (name: _: positionOf name);
  workloads = evaluated;
  # For `nix build`, by system.
  roots = builtins.mapAttrs (
    system: _: import ./roots.nix (builtins.mapAttrs (_: workload: workload.${system}) evaluated)
  ) pkgs;
}
# So they keep the positions that the user wrote them at.
// builtins.intersectAttrs { namespace = null; objects = null; systems = null; } head
// (if head ? manifests then { manifests = filesOf "manifests" head.manifests; } else { })
// (
  if head.kubernetes.definitions or [ ] == [ ] then
    builtins.intersectAttrs { kubernetes = null; } head
  else
    # Without a position, which would be one in this file.
    builtins.mapAttrs (
      _: given:
      given
      // builtins.mapAttrs (_: filesOf "kubernetes") (builtins.intersectAttrs { definitions = null; } given)
    ) (builtins.intersectAttrs { kubernetes = null; } head)
)
