# An empty list is there at once, also where other values wait.
builtins.all (_: rec { a = [ ]; b = [ 1 ]; ${"c"} = [ ]; }) [ 1 ]
