let
  show = import ./lib/show.nix;
in
show (derivation { name = "blake3"; system = "x86_64-linux"; builder = "/bin/sh"; outputHash = "blake3-ZDezrDhGM20vtra4iTSUWH/smZGvN0HKLFpT6Sm/Wc8="; })
