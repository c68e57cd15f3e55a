let
  show = import ./lib/show.nix;
in
show (derivation { name = "list-spacing"; system = "x86_64-linux"; builder = "/bin/sh"; a = [ "a" [ ] ]; b = [ [ ] "a" ]; c = [ [ [ ] ] "b" ]; d = [ "a" [ ] "b" ]; e = [ "" "" ]; f = [ null "x" null ]; })
