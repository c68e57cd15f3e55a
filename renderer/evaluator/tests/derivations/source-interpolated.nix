let
  show = import ./lib/show.nix;
in
show (derivation { name = "source-interpolated"; system = "x86_64-linux"; builder = "/bin/sh"; src = "${./fixtures/tree}/deep"; other = "${./fixtures/tree/deep}"; })
