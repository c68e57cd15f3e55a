[ (import ./fixtures/value.nix) (import ./fixtures/function.nix { x = 2; }) (import ./fixtures/folder) (import (./fixtures + "/value.nix")) (builtins.import (toString ./fixtures/value.nix)) ]
