[ (builtins.readDir ./fixtures/tree) (builtins.readDir (./fixtures/tree + "/sub")) (map builtins.readFileType [ ./fixtures/tree/a ./fixtures/tree/sub ./fixtures/tree/link ]) ]
