let
  show = import ./lib/show.nix;
  base = import ./lib/base.nix;
in
show (derivation { name = "depends-on-nothing-discarded"; system = "x86_64-linux"; builder = "/bin/sh"; text = builtins.unsafeDiscardStringContext "${base "a"} ${./fixtures/file.txt}"; })
