# Outputs that the evaluation asks for.
with import ./lib.nix;
let
  written = run "ifd-written" "echo '{ n = 7; }' > $out";
  folder = run "ifd-folder" "mkdir -p $out/sub; echo a > $out/a; echo b > $out/sub/b; ln -s a $out/l";
  # The names of all derivations, for their logs: the evaluation that lists the cases builds nothing.
  case = inputs: drv: { build.a = drv; options.evaluated = [ drv.name ] ++ inputs; };
in
{
  import = case [ "ifd-written" ] (sh "ifd-import" { n = (import written).n; } "echo $n > $out");
  read-file = case [ "ifd-folder" ] (sh "ifd-read-file" { text = builtins.readFile "${folder}/sub/b"; } "echo \"$text\" > $out");
  read-dir = case [ "ifd-folder" ] (sh "ifd-read-dir" { names = builtins.attrNames (builtins.readDir folder); } "echo $names > $out");
  path-exists = case [ "ifd-folder" ] (sh "ifd-path-exists" { yes = builtins.pathExists "${folder}/a"; no = builtins.pathExists "${folder}/z"; } "echo \"$yes|$no\" > $out");
  hash-file = case [ "ifd-folder" ] (sh "ifd-hash-file" { hash = builtins.hashFile "sha256" "${folder}/a"; } "echo $hash > $out");
  twice = case [ "ifd-written" "ifd-second" ] (sh "ifd-twice" { n = (import (run "ifd-second" "echo '{ n = ${toString (import written).n} + 1; }' > $out")).n; } "echo $n > $out");
  of-floating = case [ "ifd-of-floating" ] (sh "ifd-floating" { text = builtins.readFile (sh "ifd-of-floating" floating "echo floating > $out"); } "echo \"$text\" > $out");
  path-of = case [ "ifd-folder" ] (sh "ifd-path" { src = builtins.path { path = folder; name = "copied"; }; } "ls $src > $out");
  fails = (case [ "ifd-failing" ] (sh "ifd-fails" { n = import (run "ifd-failing" "echo wrong; exit 3"); } "echo > $out")) // { exit = 100; };
}
