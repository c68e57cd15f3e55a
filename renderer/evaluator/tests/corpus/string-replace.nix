[
  (builtins.replaceStrings [ "a" ] [ "b" ] "banana") (builtins.replaceStrings [ "a" "an" ] [ "1" "2" ] "banana") (builtins.replaceStrings [ "an" "a" ] [ "2" "1" ] "banana")
  (builtins.replaceStrings [ "" ] [ "-" ] "abc") (builtins.replaceStrings [ "" "a" ] [ "-" "X" ] "abc") (builtins.replaceStrings [ "a" "" ] [ "X" "-" ] "abc") (builtins.replaceStrings [ ] [ ] "abc")
  (builtins.replaceStrings [ "abc" ] [ "" ] "xabcabcx") (builtins.replaceStrings [ "x" ] [ (throw "lazy") ] "abc") (builtins.replaceStrings [ "" ] [ "x" ] "")
  (builtins.replaceStrings [ "\n" "\"" ] [ "\\n" "\\\"" ] "a\n\"b\"")
]
