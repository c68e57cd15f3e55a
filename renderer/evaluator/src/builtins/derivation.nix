# `derivation`: what `derivationStrict` computes, as a set for each output that also has all attributes it was made of.
#
# Programs see where it stands: traces of failing derivations lead through this file, and `unsafeGetAttrPos` tells the lines
# of its attributes. So everything that has a place has the one that it has in Nix, line and column: to compare two
# reports, or to look one up, finds what is known.
#
# It is lazy on purpose:
#
# - The names of the outputs come from the arguments alone, so that a set's shape is known before anything of the
#   derivation is evaluated.
# - `strict` is evaluated once, when the first path is asked for.
# - An output's set has the attributes of all outputs: `drv.dev.lib` is `drv.lib`.
#
# Attributes that it adds to those of its argument:
#
# - `all`: the list of all outputs' sets.
# - `drvAttrs`: the argument itself.
# - `outPath` and `drvPath`: the paths, with contexts that refer to them.
# - `type`: how everyone tells a derivation.
# - `outputName`: which output the set is.
#
# What it gives is the set of the first output.
#
# The arguments: the names of the outputs, and whatever else the builder is to see.
#
# All that takes work is in `strict`: the arguments as strings, the derivation's file, the paths of its
# outputs. It is evaluated when the first of them is asked for, and both paths of every output's set
# come from it.

drvAttrs@{
  outputs ? [ "out" ],
  ...
}:

let

  strict = derivationStrict drvAttrs;

  commonAttrs =
    drvAttrs
    // (builtins.listToAttrs outputAttrs)
    // {
      all = map (output: output.value) outputAttrs;
      inherit drvAttrs;
    };

  outputSet = outputName: {
    name = outputName;
    value = commonAttrs // {
      outPath = builtins.getAttr outputName strict;
      drvPath = strict.drvPath;
      type = "derivation";
      inherit outputName;
    };
  };

  outputAttrs = map outputSet outputs;

in
(builtins.head outputAttrs).value
