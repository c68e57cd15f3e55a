let
  show = import ./lib/show.nix;
in
show (derivation { name = "structured-attrs-fixed"; system = "x86_64-linux"; builder = "/bin/sh"; __structuredAttrs = true; outputHashMode = "recursive"; outputHash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; url = "x"; })
