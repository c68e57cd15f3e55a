# Evaluates the workloads of an environment, once per system, to the plain data that the renderer reads.
# It neither checks nor converts what the user wrote: the renderer does, for it can name the place in the source.
{
  systems,
  pkgsFor,
  workloads,
  defaults ? { },
  namespace ? null,
}:
let
  merge = import ./merge.nix;
  fitting = import ./fitting.nix;

  call = value: arguments: if builtins.isFunction value then value arguments else value;

  # One `pkgs` per system, however many workloads share it.
  pkgs = builtins.listToAttrs (
    map (system: {
      name = system;
      value = pkgsFor system;
    }) systems
  );

  # The output of a package that holds its programs. An output that the user chose stays chosen.
  programsOf =
    package: if package.outputSpecified or false then package else package.bin or package.out or package;

  evaluate =
    name: workload: system: pkgs:
    builtins.addErrorContext "while evaluating the workload '${name}' for ${system}" (
      let
        arguments = { inherit pkgs system name namespace; };
        own = call workload arguments;
        attributes = merge (fitting (call defaults arguments) own) own;
        package = attributes.package or null;
      in
      {
        package = if package == null then null else programsOf package;
        mainProgram = package.meta.mainProgram or null;
        attributes = removeAttrs attributes [ "package" ];
      }
    );
in
{
  _type = "niphas-environment";
  version = 1;
  inherit namespace systems;
  # What mapAttrs makes has no positions.
  positions = builtins.mapAttrs (name: _: builtins.unsafeGetAttrPos name workloads) workloads;
  workloads = builtins.mapAttrs (
    name: workload: builtins.mapAttrs (evaluate name workload) pkgs
  ) workloads;
}
