# `merge path definitions`: one value of several definitions of it, `[ { value; level; file; } … ]`, as nixpkgs' modules
# merge what has no option: `mkIf`, `mkMerge`, `mkOverride` (`mkDefault`, `mkForce`) and `mkOrder` (`mkBefore`, `mkAfter`)
# work at every depth, sets are merged attribute by attribute, lists are joined, and other values must be equal.
# Of definitions with one priority those of the nearest (lowest) level stand alone, but for sets.
let
  inherit (builtins) all attrNames concatMap filter head isAttrs isBool isList length;

  isPlain = value: isAttrs value && !(value ? outPath || value ? __toString);

  isProperty = value: isAttrs value && value ? _type;

  # The definitions that a definition stands for, less its properties.
  discharge =
    definition:
    let
      inherit (definition) value;
      type = value._type or "";
      inner = content: discharge (definition // { value = content; });
      wrong = property: given: wanted: throw "`${property}` ${place definition} is given ${describe given}: write ${wanted}";
    in
    if !isProperty value then
      [ definition ]
    else if type == "merge" then
      if isList value.contents then
        concatMap inner value.contents
      else
        wrong "lib.mkMerge" value.contents "a list of definitions"
    else if type == "if" then
      if !isBool value.condition then
        wrong "lib.mkIf" value.condition "a Boolean, and then the definition"
      else if value.condition then
        inner value.content
      else
        [ ]
    else if type == "override" then
      map (one: one // { inherit (value) priority; }) (inner value.content)
    else if type == "order" then
      map (one: one // { order = value.priority; }) (inner value.content)
    else
      [ definition ];

  # nixpkgs' own numbers.
  priorityOf = definition: definition.priority or 100;
  orderOf = definition: definition.order or 1000;

  lowest = of: definitions: builtins.foldl' (least: one: if of one < least then of one else least) (of (head definitions)) definitions;

  strongest =
    definitions:
    let
      least = lowest priorityOf definitions;
    in
    filter (one: priorityOf one == least) definitions;

  # Sets above the first level where something else stands, the nearest level's last; or all of the nearest level.
  standing =
    definitions:
    let
      level = lowest (one: one.level) definitions;
      near = filter (one: one.level == level) definitions;
      far = filter (one: one.level != level) definitions;
    in
    if !all (one: isPlain one.value) near || far == [ ] then
      near
    else
      let
        more = standing far;
      in
      if all (one: isPlain one.value) more then more ++ near else near;

  # Where an attribute of a set stands, or else the file.
  placeOf =
    name: set: file:
    let
      position = builtins.unsafeGetAttrPos name set;
    in
    if position == null then
      "in ${file}"
    else
      "at ${position.file}:${toString position.line}:${toString position.column}";

  place =
    definition:
    if definition ? set then placeOf definition.name definition.set definition.file else "in ${definition.file}";

  describe =
    value:
    {
      bool = "a Boolean";
      float = "a float";
      int = "an integer";
      lambda = "a function";
      list = "a list";
      null = "null";
      path = "a path";
      set = "a set";
      string = "a string";
    }
    .${builtins.typeOf value};

  combine =
    path: definitions:
    let
      values = map (one: one.value) definitions;
      first = head values;
      sorted = builtins.sort (a: b: orderOf a < orderOf b) definitions;
    in
    if all isList values then
      concatMap (one: one.value) sorted
    else if all (value: value == first) values then
      first
    else
      throw "`${builtins.concatStringsSep "." path}` has values that differ: ${
        builtins.concatStringsSep ", and " (map place definitions)
      }. Use lib.mkForce for the one that counts, or lib.mkDefault for those that do not";

  # `isWhole`: less what `mkIf` leaves nothing of. That takes looking at each value, so a value could not refer to its
  # neighbours; without, such values are null.
  mergeWith =
    isWhole:
    let
      # The elements of lists have properties, too.
      leaf =
        path: definition: value:
        if isList value && builtins.any isAttrs value then
          concatMap (
            element:
            if isPlain element then
              map (one: merge path [ one ]) (discharge (definition // { value = element; }))
            else
              [ element ]
          ) value
        else
          value;

      absent =
        set: definitionsOf:
        if isWhole then filter (name: definitionsOf name == [ ]) (attrNames set) else [ ];

      childrenOfOne =
        path: definition:
        let
          set = definition.value;
          definitionsOf =
            name:
            discharge {
              inherit name set;
              inherit (definition) level file;
              value = set.${name};
            };
          isAbsent = name: isProperty set.${name} && definitionsOf name == [ ];
          gone = if isWhole then filter isAbsent (attrNames set) else [ ];
        in
        builtins.mapAttrs (
          name: value:
          if isAttrs value || isList value then merge (path ++ [ name ]) (definitionsOf name) else value
        ) (if gone == [ ] then set else removeAttrs set gone);

      children =
        path: definitions:
        let
          found = builtins.zipAttrsWith (_: concatMap discharge) (
            map (
              one:
              builtins.mapAttrs (name: value: {
                inherit name value;
                inherit (one) level file;
                set = one.value;
              }) one.value
            ) definitions
          );
        in
        builtins.mapAttrs (name: merge (path ++ [ name ])) (removeAttrs found (absent found (name: found.${name})));

      merge =
        path: definitions:
        let
          kept = if length definitions == 1 then definitions else standing (strongest definitions);
          only = head kept;
        in
        if definitions == [ ] then
          null
        else if length kept == 1 then
          if isPlain only.value then childrenOfOne path only else leaf path only only.value
        else if all (one: isPlain one.value) kept then
          children path kept
        else
          leaf path only (combine path kept);
    in
    path: definitions: merge path (concatMap discharge definitions);
in
{
  inherit describe discharge placeOf;
  merge = mergeWith true;
  mergeLazily = mergeWith false;
}
