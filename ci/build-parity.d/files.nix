# Files that are made in the build folder: passAsFile.
with import ./lib.nix;
let list = "cd /build; ls -lan . | sed -E 's/ +[A-Z][a-z]{2} .*(:[0-9]{2}| [0-9]{4}) / /' ; for f in .attr-*; do echo \"$f:\"; cat $f; done";
in
{
  pass = sh "pass-as-file" { passAsFile = [ "a" "long-name" ]; a = "contents of a"; long-name = "x\ny\n"; b = "not"; } "(env | sort; ${list}) > $out";
  pass-binary = sh "pass-as-file-binary" { passAsFile = [ "bytes" ]; bytes = builtins.readFile ./bytes; } "cat $bytesPath > $out";
  pass-large = sh "pass-as-file-large" { passAsFile = [ "big" ]; big = times 40000 "0123456789"; } "cat $bigPath > $out";
  pass-empty = sh "pass-as-file-empty" { passAsFile = [ "e" ]; e = ""; } "wc -c < $ePath > $out";
  pass-unknown = sh "pass-as-file-unknown" { passAsFile = [ "nothing" ]; } "(env | sort; ${list}) > $out 2>/dev/null || true";
  pass-builder-attributes = sh "pass-as-file-own" { passAsFile = [ "out" "name" "system" ]; } "(env | sort; ${list}) > $out2 2>&1 || (env | sort) > $(cat $outPath)";
  pass-placeholder = sh "pass-as-file-placeholder" { passAsFile = [ "p" ]; p = "${placeholder "out"}/bin"; } "cat $pPath > $out";
  pass-reference = sh "pass-as-file-reference" { passAsFile = [ "p" ]; p = "see ${text "passed" "x"}"; } "cat $pPath > $out";
  pass-same-twice = sh "pass-as-file-twice" { passAsFile = [ "a" "a" ]; a = "1"; } "cat $aPath > $out";
  pass-overwritten-variable = sh "pass-as-file-overwritten" { passAsFile = [ "a" ]; a = "1"; aPath = "mine"; } "(env | sort; ls -A /build) > $out";
  structured-ignores-it = sh "pass-as-file-structured" { __structuredAttrs = true; passAsFile = [ "a" ]; a = "1"; } "o=$(sed -n 's/.*\"outputs\":{\"out\":\"\\([^\"]*\\)\".*/\\1/p' $NIX_ATTRS_JSON_FILE); (env | sort; ls -A /build) > $o";
  written-files-are-the-builders = sh "pass-as-file-own-files" { passAsFile = [ "a" ]; a = "1"; } "echo more >> $aPath; rm $aPath; ls -A /build > $out; umask >> $out";
}
