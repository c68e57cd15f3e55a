# `evalWorkload { lib, levels, arguments }`: a workload that is written as modules, on one system: its attributes, and the
# definitions that they are merged of, the nearest first. `levels` is `[ { level; modules; } … ]`.
#
# Attributes have no options: the renderer knows their types. Options that the modules declare themselves are evaluated by
# nixpkgs' `evalModules`; only workloads that have some pay for it.
let
  collect = import ./collect.nix;
  fitting = import ../fitting.nix;
  inherit (import ./merge.nix) discharge merge mergeLazily;
  class = "niphasWorkload";
in
{ lib, levels, arguments }:
let
  collected = builtins.concatMap (
    of:
    map (one: one // { inherit (of) level; }) (collect {
      inherit lib class;
      inherit (of) modules;
      arguments = arguments // {
        inherit lib;
        inherit (declared) options;
        config = mergeLazily [ ] own // declared.config;
      };
    })
  ) levels;

  declaring = builtins.filter (one: one ? options) collected;
  # As the modules have them: what `evalModules` gives depends on the definitions.
  names = builtins.foldl' (
    found: one: lib.recursiveUpdateUntil (_: left: _: lib.isOption left) found one.options
  ) { } declaring;

  # Applies a function to the sets of a definition, below its properties.
  select =
    function: config:
    let
      type = config._type or "";
    in
    if !builtins.isAttrs config then
      config
    else if type == "merge" then
      config // { contents = map (select function) config.contents; }
    else if type == "if" || type == "override" || type == "order" then
      config // { content = select function config.content; }
    else
      function config;

  # A definition of a further level counts less.
  lower =
    level: options: value:
    if value._type or "" == "override" then
      value // { priority = value.priority + 10 * level; }
    else if value._type or "" == "merge" then
      value // { contents = map (lower level options) value.contents; }
    else if value._type or "" == "if" then
      value // { content = lower level options value.content; }
    else if lib.isOption options then
      lib.mkOverride (lib.modules.defaultOverridePriority + 10 * level) value
    else if builtins.isAttrs value then
      builtins.mapAttrs (name: lower level (options.${name} or { })) value
    else
      value;

  declared =
    if declaring == [ ] then
      { config = { }; options = { }; }
    else
      lib.evalModules {
        inherit class;
        modules = map (one: {
          _file = one.file;
          options = one.options or { };
          config =
            let
              config = select (builtins.intersectAttrs names) one.config;
            in
            if one.level == 0 || !builtins.isAttrs config then config else lower one.level names config;
        }) collected;
      };

  own =
    let
      rest = builtins.attrNames names;
    in
    map (one: {
      inherit (one) level file;
      value = if rest == [ ] then one.config else select (set: removeAttrs set rest) one.config;
    }) collected;

  discharged = builtins.concatMap discharge own;
  sorted = builtins.partition (one: builtins.isAttrs one.value) discharged;
  # The renderer finds fault with what is no set.
  merged = if sorted.wrong == [ ] then merge [ ] own else (builtins.head sorted.wrong).value;
  mentioned = builtins.foldl' (found: one: if one.level == 0 then found // one.value else found) { } sorted.right;
in
{
  attributes =
    if builtins.isAttrs merged then
      # What is mentioned is only asked for its names.
      fitting merged (builtins.mapAttrs (_: _: null) mentioned)
    else
      merged;
  definitions = map (one: one.value) (
    builtins.sort (a: b: a.level < b.level) (lib.reverseList own)
  );
}
