# Where the attributes that `derivation` adds stand, in a file that is part of Nix.
let
  drv = derivation { name = "x"; builder = "b"; system = "s"; outputs = [ "out" "dev" ]; };
  at = name: builtins.unsafeGetAttrPos name drv;
in
{
  positions = map at [ "all" "dev" "drvAttrs" "drvPath" "out" "outPath" "outputName" "type" ];
}
