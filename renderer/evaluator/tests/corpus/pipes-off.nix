# `|>` needs an experimental feature; `or` as a name is still allowed in these places.
let or = 1; s = { or = 2; }; in [ s.or (s.x or 3) { inherit (s) or; } ]
