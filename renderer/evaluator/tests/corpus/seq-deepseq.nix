[ (builtins.seq 1 2) (builtins.seq [ (throw "x") ] 3) (builtins.deepSeq [ 1 { a = 2; } ] 4) (builtins.deepSeq (x: throw "x") 5) (let x = { self = x; }; in builtins.deepSeq x 6) ]
