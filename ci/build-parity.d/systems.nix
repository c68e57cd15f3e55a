# Several systems.
with import ./lib.nix;
{
  i686 = sh "system-i686" { system = "i686-linux"; } "uname -m; cat /proc/1/personality; arch > $out";
  x86-64 = sh "system-x86-64" { } "uname -m; cat /proc/1/personality; arch > $out";
  v1 = sh "system-v1" { system = "x86_64-v1-linux"; } "uname -m > $out";
  i686-for-x86-64 = sh "system-mixed" { input = sh "system-i686-input" { system = "i686-linux"; } "uname -m > $out"; } "cat $input > $out; uname -m >> $out";
  builtin = derivation { name = "system-builtin"; system = "builtin"; builder = "builtin:buildenv"; derivations = [ ]; manifest = text "manifest" ""; };
  builtin-by-program = failing 100 (derivation { name = "system-builtin-program"; system = "builtin"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; });
}
