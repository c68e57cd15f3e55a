[
  (builtins.parseFlakeRef "github:NixOS/nixpkgs/23.05?dir=lib") (builtins.parseFlakeRef "git+https://example.org/x.git?ref=main&rev=e486d8d40e626a20e06d792db8cc5ac5aba9a5b4") (builtins.parseFlakeRef "path:/a/b") (builtins.parseFlakeRef "nixpkgs/nixos-unstable")
  (builtins.parseFlakeRef "gitlab:a%2Fb/c") (builtins.parseFlakeRef "sourcehut:~u/r/v1") (builtins.parseFlakeRef "https://example.org/x.tar.gz") (builtins.parseFlakeRef "git+file:///tmp/r?submodules=1&shallow=1") (builtins.parseFlakeRef "flake:nixpkgs")
  (builtins.flakeRefToString { type = "github"; owner = "o"; repo = "r"; ref = "main"; dir = "d"; }) (builtins.flakeRefToString { type = "path"; path = "/x y"; }) (builtins.flakeRefToString { type = "git"; url = "https://e.org/r"; rev = "e486d8d40e626a20e06d792db8cc5ac5aba9a5b4"; })
  (builtins.flakeRefToString { type = "indirect"; id = "nixpkgs"; ref = "x"; }) (builtins.flakeRefToString { type = "tarball"; url = "https://e.org/r.tar.gz"; narHash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; })
]
