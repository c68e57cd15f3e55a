# The output path of a fixed output does not depend on the inputs, the drvPath does.
let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
let fixed = url: derivation { name = "fixed"; system = "x86_64-linux"; builder = "/bin/sh"; inherit url; dep = base url; outputHash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; }; user = url: derivation { name = "user"; system = "x86_64-linux"; builder = "/bin/sh"; src = fixed url; }; in map show [ (fixed "a") (fixed "b") (user "a") (user "b") ]
