# A long list is looked at in its middle first.
builtins.sort builtins.lessThan (builtins.split "()" "foo/bar/baz")
