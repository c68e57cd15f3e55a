let sort = xs: if xs == [ ] then [ ] else let p = builtins.head xs; r = builtins.partition (x: x < p) (builtins.tail xs); in sort r.right ++ [ p ] ++ sort r.wrong; in sort [ 5 3 8 1 9 2 7 3 ]
