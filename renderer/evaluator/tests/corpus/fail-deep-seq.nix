builtins.deepSeq { a.b = throw "deeply forced"; } 1
