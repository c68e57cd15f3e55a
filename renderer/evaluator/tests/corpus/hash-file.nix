[ (builtins.hashFile "sha256" ./fixtures/text) (builtins.hashFile "md5" ./fixtures/text) (builtins.hashFile "sha1" ./fixtures/empty) ]
