let a = [ 1 ]; b = [ ]; in [ (a ++ b) (b ++ a) (b ++ b) (a ++ a ++ [ 2 ] ++ a) (builtins.concatLists [ a b a [ [ 3 ] ] ]) ]
