# `assemble { head, pkgs, names, positionOf, attributesOf }`: what an environment evaluates to, as the renderer reads it.
#
#   head                         set: `namespace` and `systems` where the user gave them, with their positions
#   pkgs                         set: by system
#   names                        set: its names are the workloads'
#   positionOf name              where a workload is defined, or null
#   attributesOf name system     what the user wrote of a workload, merged
let
  # The output of a package that holds its programs. An output that the user chose stays chosen.
  programsOf =
    package: if package.outputSpecified or false then package else package.bin or package.out or package;

  describe =
    attributes:
    let
      package = attributes.package or null;
      isSet = builtins.isAttrs attributes;
    in
    {
      package = if package == null then null else programsOf package;
      mainProgram = package.meta.mainProgram or null;
      attributes = if isSet then removeAttrs attributes [ "package" ] else attributes;
    };
in
{ head, pkgs, names, positionOf, attributesOf }:
let
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
// builtins.intersectAttrs { namespace = null; systems = null; } head
