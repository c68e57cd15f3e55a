[
  (builtins.match "ab" "abc") (builtins.match "abc" "abc") (builtins.match "a(b)(c)" "abc") (builtins.match "a(b)?c" "ac") (builtins.match "(a|b)*c" "ababc")
  (builtins.match "[[:space:]]+([[:upper:]]+)[[:space:]]+" "  FOO   ") (builtins.match "" "") (builtins.match ".*" "a\nb") (builtins.match "((a)(b))+" "abab") (builtins.match "x{2,3}" "xxx")
  (builtins.match "[^a-c]+" "xyz") (builtins.match "[]x]+" "]x") (builtins.match "a\\.b" "a.b") (builtins.match "^abc$" "abc") (builtins.match "(foo|foobar)(bar)?" "foobar")
  (builtins.match "([0-9]+)\\.([0-9]+)(\\.([0-9]+))?" "1.25") (builtins.match "[a-]+" "a-a") (builtins.match "(a*)(a*)" "aaa") (builtins.match "(a|ab)(c|bcd)(d*)" "abcd")
]
