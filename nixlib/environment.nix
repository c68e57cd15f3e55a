# Evaluates the workloads of an environment, once per system, to the plain data that the renderer reads.
# It neither checks nor converts what the user wrote: the renderer does, for it can name the place in the source.
let
  assemble = import ./assemble.nix;
  merge = import ./merge.nix;
  fitting = import ./fitting.nix;
  places = import ./modules/merge.nix;

  call = value: arguments: if builtins.isFunction value then value arguments else value;

  # Messages about arguments have this name.
  mkEnvironment =
    environment@{
      systems,
      pkgsFor,
      workloads,
      defaults ? { },
      namespace ? null,
      objects ? [ ],
      manifests ? [ ],
      kubernetes ? { },
    }:
    let
      # One `pkgs` per system, however many workloads share it.
      pkgs = builtins.listToAttrs (
        map (system: {
          name = system;
          value = pkgsFor system;
        }) systems
      );
    in
    assemble {
      inherit pkgs;
      head = environment;
      names = workloads;
      positionOf = name: builtins.unsafeGetAttrPos name workloads;
      placeOf = name: places.placeOf name environment "the environment";
      attributesOf =
        name: system:
        let
          arguments = { inherit system name namespace; pkgs = pkgs.${system}; };
          own = call workloads.${name} arguments;
        in
        # The same for a workload.
        if builtins.isAttrs own then merge (fitting (call defaults arguments) own) own else own;
    };
in
mkEnvironment
