map (c: builtins.match "[[:${c}:]]*" (if c == "digit" || c == "xdigit" then "09" else if c == "space" || c == "blank" then " " else if c == "punct" then "!?" else if c == "upper" then "AZ" else if c == "cntrl" then "\t" else "az") != null)
  [ "alpha" "digit" "alnum" "upper" "lower" "space" "blank" "punct" "print" "graph" "xdigit" "cntrl" ]
