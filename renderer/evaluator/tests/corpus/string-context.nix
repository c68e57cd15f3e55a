let
  d = derivation { name = "c"; system = "x"; builder = "/b"; outputs = [ "out" "dev" ]; };
  s = "a${d}b${d.dev}c${d.drvPath}";
in
[
  (builtins.hasContext "x") (builtins.hasContext s) (builtins.getContext s) (builtins.getContext "x") (builtins.getContext (builtins.unsafeDiscardStringContext s))
  (builtins.getContext (builtins.unsafeDiscardOutputDependency d.drvPath)) (builtins.getContext (builtins.addDrvOutputDependencies (builtins.unsafeDiscardOutputDependency d.drvPath)))
  (builtins.getContext (builtins.appendContext "x" (builtins.getContext s)) == builtins.getContext s) (builtins.appendContext "y" { })
]
