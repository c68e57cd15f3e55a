[
  (builtins.path { path = ./fixtures/tree; }) (builtins.path { path = ./fixtures/tree; name = "renamed"; }) (builtins.path { path = ./fixtures/text; recursive = false; })
  (builtins.path { path = ./fixtures/tree; filter = p: t: t != "symlink"; name = "no-links"; }) (builtins.filterSource (p: t: baseNameOf p != "a") ./fixtures/tree)
]
