# Strings: interpolated, joined, cut, replaced, matched, split and hashed.
let
  numbers = builtins.genList (n: n) 40000;
  lines = map (n: "line ${toString n}: key=${toString (n * 31)}; path=/a/b/${toString n}/c") numbers;
  text = builtins.concatStringsSep "\n" lines;
  replaced = builtins.replaceStrings [ "line" "key=" "/" ] [ "row" "k:" "::" ] text;
  fields = map (line: builtins.head (builtins.match "line ([0-9]+): key=([0-9]+); .*" line)) lines;
  split = builtins.filter builtins.isString (builtins.split "\n" replaced);
  chars = map (n: builtins.substring n 1 text) numbers;
in
[
  (builtins.stringLength text)
  (builtins.hashString "sha256" replaced)
  (builtins.length fields)
  (builtins.length split)
  (builtins.hashString "md5" (builtins.concatStringsSep "," (chars ++ fields)))
]
