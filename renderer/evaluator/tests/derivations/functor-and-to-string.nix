let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "functor-and-to-string"; system = "x86_64-linux"; builder = "/bin/sh"; x = { __toString = self: "${base "a"}/${self.y}"; y = "z"; }; })
