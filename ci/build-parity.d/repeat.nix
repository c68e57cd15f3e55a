# --check: a second time, and compared.
with import ./lib.nix;
let again = exit: drv: { build.a = drv; options.check = true; inherit exit; };
in
{
  same = again 0 (run "repeat-same" "echo said; echo x > $out");
  differs = again 104 (run "repeat-differs" "cat /proc/sys/kernel/random/uuid > $out");
  differs-in-one-output = again 104 (sh "repeat-one-output" { outputs = [ "out" "dev" ]; } "cat /proc/sys/kernel/random/uuid > $dev; echo > $out");
  not-built-before = { build.a = run "repeat-not-built" "echo x > $out"; options.check = "only"; exit = 1; };
  fixed = again 0 (sh "repeat-fixed" (fixed (sha256 "x")) "printf x > $out");
  floating = again 0 (sh "repeat-floating" floating "echo $out > $out");
  floating-differs = { build.a = sh "repeat-floating-differs" floating "cat /proc/sys/kernel/random/uuid > $out"; options = { check = true; varies = [ "outputs" ]; }; };
}
