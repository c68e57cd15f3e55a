let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
let chain = n: if n == 0 then base "root" else derivation { name = "link-${toString n}"; system = "x86_64-linux"; builder = "/bin/sh"; previous = chain (n - 1); }; in show (chain 30)
