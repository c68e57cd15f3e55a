builtins.toXML { a = 1; b = [ "x<y>&\"" true null 1.5 ]; c = { }; d = x: x; e = { x, y ? 1, ... }@z: x; f = /a/b; g = args@{ q }: q; "n<" = 1; h = "a\nb\tc"; i = ""; }
