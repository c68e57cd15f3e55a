# `roots values`: what the strings of values refer to, each as something that `nix build` takes. The names are those of the
# derivations or paths in the store, less what would need quotes on a command line; `niphas roots` prints them.
values:
let
  context = builtins.getContext (builtins.toJSON values);

  nameOf =
    path:
    builtins.replaceStrings [ ".drv" "." "?" "=" "+" ] [ "" "_" "_" "_" "_" ] (builtins.baseNameOf path);

  # A derivation, of which Nix builds these outputs; or a path that is in the store once it is evaluated.
  rootOf =
    path: reference:
    if reference ? outputs then
      {
        type = "derivation";
        name = nameOf path;
        drvPath = path;
        meta.outputsToInstall = reference.outputs;
      }
    else
      builtins.appendContext path { ${path} = reference; };
in
builtins.listToAttrs (
  map (path: {
    name = nameOf path;
    value = rootOf path context.${path};
  }) (builtins.attrNames context)
)
