[ /a/b/c /a/./b /a/../b /a/b/.. (/. + "x") (/a/b + "/../c") (dirOf /a/b) (baseNameOf /a/b) (builtins.toPath "/x/y/../z") ]
