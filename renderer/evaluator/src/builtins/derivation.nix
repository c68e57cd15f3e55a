# `derivation`: what `derivationStrict` computes, as a set for each output that also has all attributes it was made of.
drvAttrs@{ outputs ? [ "out" ], ... }:

let

  strict = derivationStrict drvAttrs;

  common = drvAttrs // builtins.listToAttrs outputSets // {
    all = map (output: output.value) outputSets;
    inherit drvAttrs;
  };

  outputSets = map
    (outputName: {
      name = outputName;
      value = common // {
        outPath = builtins.getAttr outputName strict;
        drvPath = strict.drvPath;
        type = "derivation";
        inherit outputName;
      };
    })
    outputs;

in
(builtins.head outputSets).value
