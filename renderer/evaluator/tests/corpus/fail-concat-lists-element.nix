builtins.concatLists [ [ ] 1 ]
