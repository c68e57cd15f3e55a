# __structuredAttrs.
with import ./lib.nix;
let
  # busybox's shell has no arrays: the path of an output from the JSON.
  out = name: "$(sed -n 's/.*\"${name}\":\"\\(\\/nix\\/store\\/[^\"]*\\)\".*/\\1/p' $NIX_ATTRS_JSON_FILE | head -n 1)";
  structured = name: attributes: sh name ({ __structuredAttrs = true; } // attributes);
  both = "out=${out "out"}; (cat $NIX_ATTRS_JSON_FILE; echo; cat $NIX_ATTRS_SH_FILE) > $out";
  a = run "structured-input-a" "echo a > $out";
  b = run "structured-input-b" "echo ${a} > $out";
in
{
  files = structured "structured-files" { string = "x"; int = 7; yes = true; no = false; nothing = null; float = 1.25; list = [ 1 "b" true ]; set = { a = "1"; b = "2"; }; } both;
  environment = structured "structured-environment" { x = "1"; PATH = "/mine"; } "out=${out "out"}; tr '\\0' '\\n' < /proc/1/environ > $out";
  modes = structured "structured-modes" { } "out=${out "out"}; ls -lan /build | sed -E 's/ +[A-Z][a-z]{2} .*(:[0-9]{2}| [0-9]{4}) / /' > $out";
  nested = structured "structured-nested" { deep = { a = [ { b = { c = [ ]; }; } { } [ [ ] ] ]; }; mixed = [ 1 [ 2 ] ]; sets = { a = { b = 1; }; c = "d"; }; nulls = [ null 1 ]; } both;
  strings = structured "structured-strings" { newline = "a\nb"; quote = "it's \"quoted\" \\ $x `y`"; unicode = "ü→😀"; control = builtins.fromJSON ''"\u0001\u001f\u007f"''; slash = "a/b"; empty = ""; } both;
  names = structured "structured-names" { "a-b" = "1"; "1x" = "2"; "with space" = "3"; _ok = "4"; "ünicode" = "5"; "a.b" = "6"; set = { "k y" = "1"; "q'" = "2"; }; } both;
  numbers = structured "structured-numbers" { big = 9223372036854775807; small = -9223372036854775807; f1 = 0.1; f2 = 1.0e300; f3 = 1.0e-7; f4 = 100000.0; f5 = -0.5; f6 = 123456789.125; ints = [ 0 (-1) ]; floats = [ 1.5 2.0 ]; } both;
  empties = structured "structured-empties" { list = [ ]; set = { }; string = ""; } both;
  outputs = structured "structured-outputs" { outputs = [ "out" "dev" ]; own = placeholder "out"; other = [ (placeholder "dev") ]; } "out=${out "out"}; dev=${out "dev"}; sed s,$dev,DEV,g $NIX_ATTRS_JSON_FILE > $out; sed s,$out,OUT,g $NIX_ATTRS_SH_FILE > $dev";
  inputs = structured "structured-inputs" { inputs = [ a b ]; path = ./lib.nix; } both;
  graph = structured "structured-graph" { exportReferencesGraph.graph = [ b ]; } both;
  graphs = structured "structured-graphs" { exportReferencesGraph = { one = [ a ]; two = [ a b ]; three = b; }; } both;
  graph-of-a-derivation = structured "structured-graph-drv" { exportReferencesGraph.drv = [ a.drvPath ]; } both;
  no-outputs-variable = structured "structured-variables" { } "out=${out "out"}; echo \"[\${out_-unset}]\" > $out; set | grep -c '^outputs' >> $out || true";
  arguments = derivation { name = "structured-arguments"; inherit system; __structuredAttrs = true; builder = "/bin/sh"; args = [ "-c" "out=${out "out"}; tr '\\0' '|' < /proc/1/cmdline > $out; cat $NIX_ATTRS_JSON_FILE >> $out" "x" ]; };
  discarded-references = structured "structured-discard" { unsafeDiscardReferences.out = true; } "out=${out "out"}; echo ${a} $out > $out";
  discarded-references-of-one = structured "structured-discard-one" { outputs = [ "out" "dev" ]; unsafeDiscardReferences.dev = true; } "out=${out "out"}; dev=${out "dev"}; echo ${a} > $out; echo ${a} > $dev";
  reserved = structured "structured-reserved" { env = { A = "1"; }; meta = { x = 1; }; outputChecks.out = { }; passAsFile = [ "x" ]; x = "y"; } both;
  fixed-output = structured "structured-fixed" (fixed (sha256 "s")) "out=${out "out"}; printf s > $out; env | sort | grep -v NIX_BUILD_CORES";
}
