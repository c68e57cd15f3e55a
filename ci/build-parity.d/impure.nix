# Impure derivations.
with import ./lib.nix;
let
  # nix-build itself ends with an assertion for these: `nix build` is what is compared, whose exit code of failures is 1.
  case = drv: { build.a = drv; options.by-nix-command = true; };
  impure = name: attributes: sh name ({ __impure = true; } // attributes);
  one = impure "impure-one" { } "echo x > $out";
in
{
  builds = case one;
  environment = with' { environment.PARITY = "seen"; by-nix-command = true; } 0 (impure "impure-environment" { impureEnvVars = [ "PARITY" ]; } "tr '\\0' '\\n' < /proc/1/environ | grep -v '^out=' > $out");
  self = case (impure "impure-self" { } "echo $out > $out");
  used-by-impure = case (impure "impure-user" { input = one; } "cat $input > $out");
  # Whether the input is built before that is seen is chance.
  used-by-pure = with' { varies = [ "log" ]; } 1 (sh "impure-pure-user" { input = one; } "cat $input > $out");
  used-by-fixed = sh "impure-fixed-user" (fixed (sha256 "x\n") // { input = one; }) "cat $input > $out";
  network = case (impure "impure-network" { } "ls /etc | sort > $out; cat /etc/nsswitch.conf >> $out");
  fails = failing 1 (impure "impure-fails" { } "exit 1");
}
