let
  show = import ./lib/show.nix;
in
show (derivation { name = "fixed-flat-sha512"; system = "x86_64-linux"; builder = "/bin/sh"; outputHashAlgo = "sha512"; outputHash = builtins.hashString "sha512" "abc"; })
