"" + (let s = { ${"a b"} = x: x; }; in builtins.seq s."a b" s."a b")
