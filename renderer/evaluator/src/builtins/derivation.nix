# `derivation`: what `derivationStrict` computes, as a set for each output that also has all attributes it was made of.
#
# Traces of failing derivations lead through this file and show lines of it. In Nix's traces these are number 37 (what is
# strict) and 49 to 51 (the set of one output), so here they have the same numbers and read the same: whoever compares
# two reports, or looks one up, finds what they know.
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

drvAttrs@{
  # The names of the outputs; what the first one is called matters to nobody but users.
  outputs ? [ "out" ],

  # Whatever else the builder is to see.
  ...
}:

let

  # All that takes work: the arguments as strings, the derivation's file, the paths of its
  # outputs. Both paths of every output's set come from here.

  strict = derivationStrict drvAttrs;

  commonAttrs = drvAttrs // builtins.listToAttrs outputSets // {
    all = map (output: output.value) outputSets;
    inherit drvAttrs;
  };

  outputSets = map outputSet outputs;

  # An attribute as `listToAttrs` wants it.
  outputSet = outputName: {
    name = outputName;
    value = commonAttrs // {
      outPath = builtins.getAttr outputName strict;
      drvPath = strict.drvPath;
      type = "derivation";
      inherit outputName;
    };
  };

in
(builtins.head outputSets).value
