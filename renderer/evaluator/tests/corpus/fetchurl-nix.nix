let d = import <nix/fetchurl.nix> { url = "http://example.org/x.tar"; sha256 = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; }; in [ d.drvPath d.outPath d.name d.system d.builder ]
