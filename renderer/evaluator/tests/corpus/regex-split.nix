[
  (builtins.split "(a)b" "abc") (builtins.split "([ac])" "abc") (builtins.split "(a)|(c)" "abc") (builtins.split "([[:upper:]]+)" " FOO ") (builtins.split "," "a,b,,c,")
  (builtins.split "," "") (builtins.split "x" "abc") (builtins.split "" "abc") (builtins.split "[a-z]*" "a1b") (builtins.split "(b*)" "abbc") (builtins.split "\n" "a\nb\n") (builtins.split "$" "ab") (builtins.split "^a" "aab")
]
