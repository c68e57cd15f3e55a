# `collect { lib, class, modules, arguments, moduleArguments }`: the definitions of modules, with what they import, as
# `[ { file; key; config; options?; } … ]`. Paths are imported, and functions called. It reads modules as nixpkgs'
# `evalModules` does, but leaves each `config` as the user wrote it: so its attributes keep their positions.
{
  lib,
  class,
  modules,
  # What functions are called with; and what finds any other argument, if something does.
  arguments,
  moduleArguments ? null,
}:
let
  inherit (builtins) concatMap elem filter isAttrs isList isPath isString;
  inherit (import ./merge.nix) describe placeOf;

  meta = [ "_class" "_file" "config" "disabledModules" "freeformType" "imports" "key" "meta" "options" "require" ];
  properties = [ "if" "merge" "order" "override" ];

  argumentsOf =
    function:
    if moduleArguments == null then
      arguments
    else
      builtins.mapAttrs (name: _: moduleArguments name) (
        removeAttrs (lib.functionArgs function) (builtins.attrNames arguments)
      )
      // arguments;

  # `at`: where it is imported.
  load =
    at: file: key: module:
    if isAttrs module then
      if module ? __functor then
        load at file key (module (argumentsOf module))
      else if elem (module._type or null) properties then
        [ { inherit file key; config = module; } ]
      else
        read file key module
    else if builtins.isFunction module then
      load at file key (module (argumentsOf module))
    else if isPath module || isString module then
      if builtins.pathExists module then
        load at (toString module) (toString module) (import module)
      else
        throw "there is no module ${toString module}, which is imported ${at}: a new file is seen once Git knows it"
    else
      # The renderer finds fault with it.
      [ { inherit file key; config = module; } ];

  read =
    file': key': module:
    let
      file = toString (module._file or file');
      key = if module ? key then toString module.key else key';
      isExplicit = module ? config || module ? options;
      others = filter (name: !elem name meta) (builtins.attrNames module);
      own = {
        inherit file key;
        config =
          if !isExplicit then
            if module ? imports || module ? _file || module ? key || module ? _class then removeAttrs module meta else module
          else if others == [ ] then
            module.config or { }
          else
            throw "the module ${place (builtins.head others)} has `config` or `options`, so nothing may stand beside them: move `${builtins.head others}` into `config`";
      }
      // (if module ? options then { inherit (module) options; } else { });
      place = name: placeOf name module file;
      imports = module.imports or [ ];
      imported = concatMap (load (place "imports") file null) imports;
    in
    if module ? _class && module._class != class && module._class != null then
      throw "the module ${place "_class"} is of the class ${module._class}, and cannot be imported into a module of the class ${class}: import one of that class, or leave `_class` out"
    else if module ? disabledModules then
      throw "the module ${place "disabledModules"} has `disabledModules`, which niphas does not know: leave the other module out of `imports`"
    else if !isList imports then
      throw "`imports` ${place "imports"} is ${describe imports}: write a list of modules"
    else
      imported ++ [ own ];

  all = concatMap (load "by the environment" "<unknown file>" null) modules;

  # What is imported twice counts once.
  once =
    builtins.foldl'
      (found: one: {
        seen = if one.key == null then found.seen else found.seen // { ${one.key} = null; };
        list = if one.key != null && found.seen ? ${one.key} then found.list else found.list ++ [ one ];
      })
      {
        seen = { };
        list = [ ];
      }
      all;
in
if builtins.any (one: one.key != null) all then once.list else all
