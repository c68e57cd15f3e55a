let
  show = import ./lib/show.nix;
in
show (derivation { name = "env-escapes"; system = "x86_64-linux"; builder = "/bin/sh"; text = "quote \" backslash \\ newline \n return \r tab \t dollar $ bell  é 𝄞"; "odd name!" = "x"; "" = "empty name"; })
