let
  sri = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
  to = toHashFormat: hash: builtins.convertHash { inherit hash toHashFormat; };
  from = hashAlgo: hash: builtins.convertHash { inherit hash hashAlgo; toHashFormat = "sri"; };
in
[
  (map (f: to f sri) [ "base16" "nix32" "base32" "base64" "sri" ]) (from "sha256" (to "base16" sri)) (from "sha256" (to "nix32" sri)) (from "sha256" (to "base64" sri))
  (to "sri" "md5:900150983cd24fb0d6963f7d28e17f72") (to "nix32" "sha1:a9993e364706816aba3e25717850c26c9cd0d89d")
]
