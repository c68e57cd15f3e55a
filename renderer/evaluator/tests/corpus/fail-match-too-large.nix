builtins.match "a{100001}" "a"
