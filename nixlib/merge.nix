# `merge low high`: `high` over `low`, attribute by attribute. Where both sides are plain sets they are merged in turn;
# else the value of `high` stands alone. Attributes keep their positions, but for the sets that are merged: what is in
# them keeps its own.
let
  isPlain = value: builtins.isAttrs value && !(value ? outPath || value ? __toString);

  merge =
    low: high:
    let
      shared = builtins.intersectAttrs low high;
      replaced = builtins.filter (name: !(isPlain low.${name} && isPlain high.${name})) (
        builtins.attrNames shared
      );
    in
    low // high // builtins.mapAttrs (name: merge low.${name}) (removeAttrs shared replaced);
in
merge
