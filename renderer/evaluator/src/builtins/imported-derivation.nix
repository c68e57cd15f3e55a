# What `import` makes of a `.drv` file: a set for each output, like `derivation`'s.
derivation@{ drvPath, name, outputs, ... }:

let

  common = builtins.listToAttrs outputSets // {
    all = map (output: output.value) outputSets;
    type = "derivation";
    inherit drvPath name;
  };

  outputSets = map
    (outputName: {
      name = outputName;
      value = common // {
        inherit outputName;
        outPath = builtins.getAttr outputName derivation;
      };
    })
    outputs;

in
(builtins.head outputSets).value
