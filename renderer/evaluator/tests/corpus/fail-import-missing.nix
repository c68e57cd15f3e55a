import ./fixtures/nope.nix
