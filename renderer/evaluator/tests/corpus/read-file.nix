[ (builtins.readFile ./fixtures/text) (builtins.readFile ./fixtures/empty) (builtins.readFile (toString ./fixtures/text)) (builtins.readFile { outPath = toString ./fixtures/text; }) ]
