let
  show = import ./lib/show.nix;
in
show (derivation { name = "fixed-flat-sha1"; system = "x86_64-linux"; builder = "/bin/sh"; outputHashAlgo = "sha1"; outputHash = "a9993e364706816aba3e25717850c26c9cd0d89d"; })
