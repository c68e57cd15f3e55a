let d = derivation { name = "c"; system = "x"; builder = "/b"; }; in [ (baseNameOf d.outPath) (dirOf "${d}/bin") (baseNameOf "${d}/bin/x") ]
