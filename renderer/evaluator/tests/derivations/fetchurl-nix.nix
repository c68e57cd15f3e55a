let
  show = import ./lib/show.nix;
in
show (import <nix/fetchurl.nix> { url = "http://example.org/file.tar.gz"; hash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; })
