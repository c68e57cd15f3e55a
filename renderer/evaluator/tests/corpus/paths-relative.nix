[ (baseNameOf ./.) (baseNameOf ./a.nix) (baseNameOf (dirOf ./a/b)) (./. == ./a/..) (./a/${"b"} == ./a/b) ]
