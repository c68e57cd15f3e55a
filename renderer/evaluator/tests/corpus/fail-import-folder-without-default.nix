import ./fixtures/tree
