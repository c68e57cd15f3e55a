let
  show = import ./lib/show.nix;
in
show (derivation { name = "fixed-sri-without-algorithm"; system = "x86_64-linux"; builder = "/bin/sh"; outputHash = "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw=="; })
