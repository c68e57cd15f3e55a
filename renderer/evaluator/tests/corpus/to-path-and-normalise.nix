[ (builtins.toPath "/a/../b") (toString (/a + "/../b")) (toString /a/./b/../c) ("${toString /a}/b") ]
