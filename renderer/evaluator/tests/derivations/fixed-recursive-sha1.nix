let
  show = import ./lib/show.nix;
in
show (derivation { name = "fixed-recursive-sha1"; system = "x86_64-linux"; builder = "/bin/sh"; outputHashMode = "recursive"; outputHashAlgo = "sha1"; outputHash = "kpcd173cq987hw957sx6m0868wv3x6d9"; })
