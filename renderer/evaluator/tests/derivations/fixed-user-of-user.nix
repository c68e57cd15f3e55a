let
  show = import ./lib/show.nix;
in
let fixed = u: derivation { name = "fixed"; system = "x86_64-linux"; builder = "/bin/sh"; inherit u; outputHashMode = "recursive"; outputHash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; }; one = derivation { name = "one"; system = "x86_64-linux"; builder = "/bin/sh"; src = fixed "1"; }; two = derivation { name = "one"; system = "x86_64-linux"; builder = "/bin/sh"; src = fixed "2"; }; d = x: derivation { name = "top"; system = "x86_64-linux"; builder = "/bin/sh"; inherit x; }; in map show [ (d one) (d two) ]
