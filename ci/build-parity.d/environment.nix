# The environment and the arguments of a builder.
with import ./lib.nix;
let
  # The builder is process 1: its environment as it was given, in its order.
  print = "tr '\\0' '\\n' < /proc/1/environ > $out; cat $out";
  script = text "script" ''
    #!/bin/sh
    tr '\0' '|' < /proc/1/cmdline > $out
    pwd >> $out
  '';
in
{
  order = run "env-order" print;
  attributes = sh "env-attributes" {
    zero = 0; one = 1; yes = true; no = false; nothing = null; list = [ 1 "two" [ 3 ] true ]; float = 1.5; empty = ""; emptyList = [ ];
    negative = -7; path = ./lib.nix; z = "last"; A = "capital"; _under = "score";
  } print;
  overridden = sh "env-overridden" { PATH = "/elsewhere"; HOME = "/home/me"; NIX_STORE = "/other"; NIX_BUILD_CORES = "77"; } print;
  forced = sh "env-forced" {
    NIX_BUILD_TOP = "/a"; TMPDIR = "/b"; TEMPDIR = "/c"; TMP = "/d"; TEMP = "/e"; PWD = "/f"; NIX_LOG_FD = "9"; TERM = "dumb";
  } print;
  odd-values = sh "env-odd-values" { newline = "a\nb\n"; quotes = "'\"`$x\\"; unicode = "ü→😀"; tab = "\t"; equals = "a=b=c"; spaces = "  x  "; } print;
  bytes = sh "env-bytes" { bytes = builtins.readFile ./bytes; } print;
  odd-names = sh "env-odd-names" { "a-b" = "1"; "with space" = "2"; "1x" = "3"; "dot.ted" = "4"; "ünicode" = "5"; } print;
  large = sh "env-large" { large = times 12000 "0123456789"; } "echo \${#large} > $out";
  too-large = failing 100 (sh "env-too-large" { large = times 14000 "0123456789"; } "echo \${#large} > $out");
  many = sh "env-many" (builtins.listToAttrs (builtins.genList (n: { name = "v${toString n}"; value = "x${toString n}"; }) 500)) print;
  cores = with' { cores = 3; } 0 (run "env-cores" "echo $NIX_BUILD_CORES > $out");
  cores-all = with' { cores = 0; } 0 (run "env-cores-all" "echo $NIX_BUILD_CORES > $out");
  impure-variables-are-not-given = with' { environment.PARITY = "seen"; } 0 (sh "env-impure-not" { impureEnvVars = [ "PARITY" ]; } print);
  impure-variables = with' { environment.PARITY = "seen"; } 0 (sh "env-impure" ({ impureEnvVars = [ "PARITY" "ABSENT" ]; } // fixed (sha256 "seen-:1"))
    "printf %s \"$PARITY-\${ABSENT-unset}:$NIX_OUTPUT_CHECKED\" > $out; tr '\\0' '\\n' < /proc/1/environ");
  impure-variables-win = with' { environment.PARITY = "seen"; } 0 (sh "env-impure-win" ({ impureEnvVars = [ "PARITY" ]; PARITY = "own"; } // fixed (sha256 "seen"))
    "printf %s \"$PARITY\" > $out");
  fixed-output = sh "env-fixed-output" (fixed (sha256 "x")) "printf x > $out; tr '\\0' '\\n' < /proc/1/environ";
  output-variables = sh "env-outputs" { outputs = [ "out" "dev" "a-b" ]; } "tr '\\0' '\\n' < /proc/1/environ > $out; echo > $dev; echo > $(tr '\\0' '\\n' < /proc/1/environ | sed -n 's/^a-b=//p')";
  arguments = derivation {
    name = "arguments"; inherit system; builder = "/bin/sh";
    args = [ "-c" "tr '\\0' '|' < /proc/1/cmdline > $out" "" "a b" "new\nline" "ü" "--flag" 7 [ "x" "y" ] ./lib.nix ];
  };
  many-arguments = derivation {
    name = "many-arguments"; inherit system; builder = "/bin/sh";
    args = [ "-c" "echo $# > $out" ] ++ builtins.genList toString 5000;
  };
  no-arguments = failing 1 (derivation { name = "no-arguments"; inherit system; builder = "/bin/sh"; });
  builder-is-a-script = derivation {
    name = "builder-script"; inherit system; args = [ "one" ];
    builder = sh "a-script" { } "cp ${script} $out; chmod +x $out";
  };
  builder-is-a-symlink = derivation {
    name = "builder-symlink"; inherit system; args = [ "-c" "tr '\\0' '|' < /proc/1/cmdline > $out" ];
    builder = "${run "sh-link" "mkdir $out; ln -s /bin/sh $out/sh"}/sh";
  };
  builder-is-missing = failing 100 (derivation { name = "builder-missing"; inherit system; builder = "/no/such/builder"; });
  builder-is-relative = failing 100 (derivation { name = "builder-relative"; inherit system; builder = "no-builder"; });
  builder-is-not-executable = failing 100 (derivation { name = "builder-not-executable"; inherit system; builder = script; });
  builder-is-a-folder = failing 100 (derivation { name = "builder-folder"; inherit system; builder = "/build"; });
  builder-has-no-format = failing 100 (derivation { name = "builder-format"; inherit system; builder = run "no-format" "printf '\\177ELFnot' > $out; chmod +x $out"; });
  builder-interpreter-is-missing = failing 100 (derivation { name = "builder-interpreter"; inherit system; builder = run "interpreter" "echo '#!/bin/bash' > $out; chmod +x $out"; });
  builder-of-another-store-path = failing 100 (derivation { name = "builder-undeclared"; inherit system; builder = builtins.unsafeDiscardStringContext "${script}"; });
  placeholders = sh "placeholders" { outputs = [ "out" "lib" ]; own = placeholder "out"; other = "-L${placeholder "lib"}/lib"; none = placeholder "nope"; } ''
    echo "$own $other $none" > $out; echo ${placeholder "lib"} > $lib
    [ "$own" = "$out" ]; [ "$other" = "-L$lib/lib" ]'';
}
