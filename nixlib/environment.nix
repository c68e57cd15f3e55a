# Evaluates the workloads of an environment, once per system, to the plain data that the renderer reads.
# It neither checks nor converts what the user wrote: the renderer does, for it can name the place in the source.
let
  merge = import ./merge.nix;
  fitting = import ./fitting.nix;

  call = value: arguments: if builtins.isFunction value then value arguments else value;

  # The output of a package that holds its programs. An output that the user chose stays chosen.
  programsOf =
    package: if package.outputSpecified or false then package else package.bin or package.out or package;

  # Messages about arguments have this name.
  mkEnvironment =
    environment@{
      systems,
      pkgsFor,
      workloads,
      defaults ? { },
      namespace ? null,
    }:
    let
      # One `pkgs` per system, however many workloads share it.
      pkgs = builtins.listToAttrs (
        map (system: {
          name = system;
          value = pkgsFor system;
        }) systems
      );

      # The renderer finds fault with what is no set, and names its place.
      perWorkload =
        function: if builtins.isAttrs workloads then builtins.mapAttrs function workloads else workloads;

      evaluate =
        name: workload: system: pkgs:
        let
          arguments = { inherit pkgs system name namespace; };
          own = call workload arguments;
          # The same for a workload.
          attributes =
            if builtins.isAttrs own then merge (fitting (call defaults arguments) own) own else own;
          package = attributes.package or null;
        in
        {
          package = if package == null then null else programsOf package;
          mainProgram = package.meta.mainProgram or null;
          attributes = if builtins.isAttrs own then removeAttrs attributes [ "package" ] else own;
        };

      evaluated = perWorkload (name: workload: builtins.mapAttrs (evaluate name workload) pkgs);
    in
    {
      _type = "niphas-environment";
      version = 1;
      namespace = null;
      # What mapAttrs makes has no positions.
      positions = perWorkload (name: _: builtins.unsafeGetAttrPos name workloads);
      workloads = evaluated;
      # For `nix build`, by system.
      roots = builtins.mapAttrs (
        system: _: import ./roots.nix (builtins.mapAttrs (_: workload: workload.${system}) evaluated)
      ) pkgs;
    }
    # So they keep the positions that the user wrote them at.
    // builtins.intersectAttrs { namespace = null; systems = null; } environment;
in
mkEnvironment
