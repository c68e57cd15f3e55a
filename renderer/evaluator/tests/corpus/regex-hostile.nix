# C++ Nix takes time that doubles with each byte, so the text is short.
let
  text = "aaaaaaaaaaaa";
in
map (pattern: builtins.match pattern text) [
  "(a*)*b"
  "(a|a)*b"
  "(a|aa)+b"
  "a*a*a*a*b"
  "(.*)(.*)(.*)b"
]
