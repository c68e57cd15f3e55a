let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "reference-checks"; system = "x86_64-linux"; builder = "/bin/sh"; allowedReferences = [ "out" (base "a") ]; disallowedRequisites = [ (base "b").dev ]; allowSubstitutes = false; preferLocalBuild = true; requiredSystemFeatures = [ "kvm" "big-parallel" ]; impureEnvVars = [ "http_proxy" ]; })
