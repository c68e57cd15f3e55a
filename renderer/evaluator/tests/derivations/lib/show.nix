# What of a derivation is compared: its drvPath, and the path of every output.
drv: {
  drvPath = builtins.unsafeDiscardStringContext drv.drvPath;
  outputs = builtins.listToAttrs (
    map (name: {
      inherit name;
      value = builtins.unsafeDiscardStringContext drv.${name}.outPath;
    }) (drv.outputs or [ "out" ])
  );
}
