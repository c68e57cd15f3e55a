map (a: [ a (builtins.hashString a "") (builtins.hashString a "abc") ]) [ "md5" "sha1" "sha256" "sha512" ]
