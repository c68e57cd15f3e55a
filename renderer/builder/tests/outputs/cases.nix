# What builders leave behind, for tests/outputs.rs. Each case is a derivation whose script makes its outputs at `$d_NAME`, where the
# test has them elsewhere than at their paths, `$NAME`. What Nix makes of them is in expected.json: see ci/build-outputs.
let
  inherit (builtins) concatMap concatStringsSep genList toFile substring hashString;

  make = name: attributes: script:
    let
      outputs = attributes.outputs or [ "out" ];
      prelude = concatStringsSep "" (map (output: "${output}=${placeholder output}; d_${output}=\${D_${output}:-\$${output}}; ") outputs);
    in
    derivation ({
      inherit name outputs;
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-ec" (prelude + script) ];
    } // attributes);

  floating = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  ca = name: attributes: make name (floating // attributes);
  mode = mode: algo: { __contentAddressed = true; outputHashMode = mode; outputHashAlgo = algo; };
  fixed = mode: algo: hash: { outputHashMode = mode; outputHashAlgo = algo; outputHash = hash; };
  wrong = hashString "sha256" "something else";
  structured = attributes: { __structuredAttrs = true; } // attributes;
  check = output: checks: structured { outputChecks.${output} = checks; };

  # Inputs, of which only the names count: leaf <- middle <- top.
  leaf = toFile "leaf" "leaf";
  middle = toFile "middle" "${leaf}";
  top = toFile "top" "${middle}";
  other = toFile "other" "other";
  hash = path: substring 11 32 "${path}";
  uses = paths: { inherit paths; };

  # A file of zeros with some text at a distance from its start.
  at = file: offset: text: "head -c ${toString offset} /dev/zero > ${file}; printf %s \"${text}\" >> ${file}; ";
  own = "$(basename $out | cut -c 1-32)";
in
{
  file = make "file" { } "echo x > $d_out";
  empty = make "empty" { } ": > $d_out";
  executable = make "executable" { } "echo x > $d_out; chmod 755 $d_out";
  executable-for-group = make "executable-for-group" { } "mkdir $d_out; for m in 010 001 411 711 000 200 100 444; do echo $m > $d_out/$m; chmod $m $d_out/$m; done";
  symlink = make "symlink" { } "ln -s /nowhere $d_out";
  symlink-to-itself = make "symlink-to-itself" { } "ln -s $out $d_out";
  folder = make "folder" { } "mkdir $d_out";
  folders = make "folders" { } "mkdir -p $d_out/a/b/c $d_out/d; echo 1 > $d_out/a/b/1; chmod 000 $d_out/d";
  unreadable = make "unreadable" { } "mkdir -p $d_out/a/b; echo x > $d_out/a/b/f; chmod 000 $d_out/a/b/f $d_out/a/b; chmod 300 $d_out/a";
  order = make "order" { } "mkdir $d_out; cd $d_out; for n in b a.b a a-b a0 A _ ' ' é; do echo $n > \"$n\"; done; mkdir a.d; echo > a.d/x";
  sizes = make "sizes" { } "mkdir $d_out; for n in 0 1 7 8 9 511 512 513 4095 4096 65535 65536 65537 262144 1048576 1048577; do yes | head -c $n > $d_out/$n; done";
  long-name = make "long-name" { } "mkdir $d_out; n=$(printf 'n%.0s' $(seq 1 255)); echo x > $d_out/$n";
  long-target = make "long-target" { } "ln -s $(printf 't%.0s' $(seq 1 4000)) $d_out";
  deepest = make "deepest" { } "p=$d_out; for i in $(seq 1 62); do p=$p/d; done; mkdir -p $p; echo x > $p/f";
  too-deep = make "too-deep" { } "p=$d_out; for i in $(seq 1 63); do p=$p/d; done; mkdir -p $p; echo x > $p/f";
  hard-links = make "hard-links" { } "mkdir $d_out; echo x > $d_out/a; ln $d_out/a $d_out/b";
  same-contents = make "same-contents" { } "mkdir $d_out; for n in 1 2 3; do yes x | head -c 300000 > $d_out/$n; done";
  zeros = make "zeros" { } "mkdir $d_out; head -c 3000000 /dev/zero > $d_out/z; head -c 100 /dev/zero > $d_out/y";
  group-writable-inside = make "group-writable-inside" { } "mkdir $d_out; echo x > $d_out/f; chmod 777 $d_out/f";

  missing = make "missing" { } "true";
  missing-second = make "missing-second" { outputs = [ "out" "dev" ]; } "echo > $d_out";
  missing-first = make "missing-first" { outputs = [ "out" "dev" ]; } "echo > $d_out; chmod 666 $d_out";
  writable = make "writable" { } "echo > $d_out; chmod 666 $d_out";
  writable-folder = make "writable-folder" { } "mkdir $d_out; chmod 775 $d_out";
  fifo = make "fifo" { } "mkfifo $d_out";
  fifo-inside = make "fifo-inside" { } "mkdir -p $d_out/a; mkfifo $d_out/a/f";

  references = make "references" (uses [ top other ]) "mkdir $d_out; echo ${top} > $d_out/f; ln -s ${leaf} $d_out/l; touch $d_out/${hash middle}-x";
  references-by-hash = make "references-by-hash" (uses [ top ]) "echo x${hash top}x > $d_out";
  references-of-others = make "references-of-others" { } "echo /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web > $d_out";
  references-over-pieces = make "references-over-pieces" (uses [ top other ]) "mkdir $d_out; ${concatStringsSep "" (concatMap (n: [ (at "$d_out/${toString n}" n (hash top)) ]) [ 65505 65535 131041 131071 262113 262143 ])}";
  references-split = make "references-split" (uses [ top ]) "printf ${substring 0 16 (hash top)} > $d_out; echo ${substring 16 16 (hash top)} >> $d_out";
  references-at-the-end = make "references-at-the-end" (uses [ top ]) "printf %s xxxxxxx${hash top} > $d_out";
  references-shifted = make "references-shifted" (uses [ top ]) "printf %s%s abcdfgh ${hash top} > $d_out";
  self = make "self" { } "echo $out > $d_out";
  several = make "several" { outputs = [ "out" "dev" "lib" ]; } "echo $dev $lib $out > $d_out; mkdir $d_dev; ln -s $lib $d_dev/l; echo > $d_lib";
  cycle = make "cycle" { outputs = [ "out" "dev" ]; } "echo $dev > $d_out; echo $out > $d_dev";
  cycle-of-three = make "cycle-of-three" { outputs = [ "c" "a" "b" ]; } "echo $b > $d_a; echo $c > $d_b; echo $a > $d_c";
  cycle-behind = make "cycle-behind" { outputs = [ "a" "b" "c" ]; } "echo $b > $d_a; echo $c > $d_b; echo $b > $d_c";
  discarded = make "discarded" (structured { outputs = [ "out" "dev" ]; unsafeDiscardReferences.out = true; } // uses [ top ]) "echo ${top} $out $dev > $d_out; echo ${top} $dev > $d_dev";
  discarded-cycle = make "discarded-cycle" (structured { outputs = [ "out" "dev" ]; unsafeDiscardReferences.out = true; }) "echo $dev > $d_out; echo $out > $d_dev";

  ca-file = ca "ca-file" { } "echo x > $d_out";
  ca-folder = ca "ca-folder" (uses [ top ]) "mkdir $d_out; echo ${top} > $d_out/f";
  ca-self = ca "ca-self" { } "mkdir $d_out; echo $out > $d_out/f; printf %s%s $out $out > $d_out/g; ln -s $out/f $d_out/l";
  ca-self-in-names = ca "ca-self-in-names" { } "mkdir $d_out; n=${own}; echo x > $d_out/$n; mkdir $d_out/d-$n; echo y > $d_out/d-$n/$n-f";
  ca-self-in-a-name = ca "ca-self-in-a-name" { } "mkdir -p $d_out/${own}; echo x > $d_out/${own}/x-${own}";
  ca-self-over-pieces = ca "ca-self-over-pieces" { } "mkdir $d_out; ${concatStringsSep "" (map (n: at "$d_out/${toString n}" n own) [ 32760 65505 65520 65535 131041 131071 262113 262143 ])}";
  ca-self-and-input = ca "ca-self-and-input" (uses [ top ]) "echo ${top} $out > $d_out";
  ca-sha1 = make "ca-sha1" (mode "recursive" "sha1") "echo x > $d_out";
  ca-sha512 = make "ca-sha512" (mode "recursive" "sha512") "mkdir $d_out; echo x > $d_out/f";
  ca-md5 = make "ca-md5" (mode "recursive" "md5") "echo x > $d_out";
  ca-sha1-self = make "ca-sha1-self" (mode "recursive" "sha1") "echo $out > $d_out";
  ca-sha1-references = make "ca-sha1-references" (mode "recursive" "sha1" // uses [ top ]) "echo ${top} > $d_out";
  ca-flat = make "ca-flat" (mode "flat" "sha256") "yes | head -c 70000 > $d_out";
  ca-flat-sha512 = make "ca-flat-sha512" (mode "flat" "sha512") "echo x > $d_out";
  ca-flat-self = make "ca-flat-self" (mode "flat" "sha256") "echo $out > $d_out";
  ca-flat-references = make "ca-flat-references" (mode "flat" "sha256" // uses [ top ]) "echo ${top} > $d_out";
  ca-flat-folder = make "ca-flat-folder" (mode "flat" "sha256") "mkdir $d_out";
  ca-flat-executable = make "ca-flat-executable" (mode "flat" "sha256") "echo x > $d_out; chmod 755 $d_out";
  ca-flat-symlink = make "ca-flat-symlink" (mode "flat" "sha256") "ln -s x $d_out";
  ca-flat-discarded = make "ca-flat-discarded" (structured { unsafeDiscardReferences.out = true; } // mode "flat" "sha256") "echo $out > $d_out";
  ca-text = make "ca-text" (mode "text" "sha256") "echo text > $d_out";
  ca-text-references = make "ca-text-references" (mode "text" "sha256" // uses [ top other ]) "echo ${top} ${other} > $d_out";
  ca-text-self = make "ca-text-self" (mode "text" "sha256") "echo $out > $d_out";
  ca-several = ca "ca-several" { outputs = [ "out" "dev" "lib" ]; } "mkdir $d_out; echo $dev $out > $d_out/f; echo $lib $dev > $d_dev; echo $lib > $d_lib";
  ca-several-in-names = ca "ca-several-in-names" { outputs = [ "out" "dev" ]; } "mkdir $d_out; touch $d_out/$(basename $dev | cut -c 1-32); ln -s $dev/x $d_out/l; mkdir $d_dev";
  ca-cycle = ca "ca-cycle" { outputs = [ "out" "dev" ]; } "echo $dev > $d_out; echo $out > $d_dev";
  ca-discarded = ca "ca-discarded" (structured { outputs = [ "out" "dev" ]; unsafeDiscardReferences.out = true; unsafeDiscardReferences.dev = true; }) "echo $dev $out > $d_out; echo $out > $d_dev";
  ca-missing = ca "ca-missing" { } "true";

  fixed-flat = make "fixed-flat" (fixed "flat" "sha256" (hashString "sha256" "x")) "printf x > $d_out";
  fixed-sha1 = make "fixed-sha1" (fixed "flat" "sha1" (hashString "sha1" "x")) "printf x > $d_out";
  fixed-md5 = make "fixed-md5" (fixed "flat" "md5" (hashString "md5" "x")) "printf x > $d_out";
  fixed-sha512 = make "fixed-sha512" (fixed "flat" "sha512" (hashString "sha512" "x")) "printf x > $d_out";
  fixed-wrong = make "fixed-wrong" (fixed "flat" "sha256" wrong) "printf x > $d_out";
  fixed-wrong-sha1 = make "fixed-wrong-sha1" (fixed "flat" "sha1" (hashString "sha1" "y")) "printf x > $d_out";
  fixed-wrong-tree = make "fixed-wrong-tree" (fixed "recursive" "sha256" wrong) "mkdir $d_out; echo x > $d_out/f";
  fixed-wrong-self = make "fixed-wrong-self" (fixed "recursive" "sha256" wrong) "echo $out > $d_out";
  fixed-wrong-references = make "fixed-wrong-references" (fixed "recursive" "sha256" wrong // uses [ top ]) "echo ${top} > $d_out";
  fixed-references = make "fixed-references" (fixed "recursive" "sha256" "sha256-GRxTnY7pfvRfs/vn/1nOhyZrRBeiV+IDXHqPzlsdcq8=" // uses [ other ]) "echo ${other} > $d_out";
  fixed-flat-references = make "fixed-flat-references" (fixed "flat" "sha256" wrong // uses [ top ]) "echo ${top} > $d_out";
  fixed-folder = make "fixed-folder" (fixed "flat" "sha256" wrong) "mkdir $d_out";
  fixed-executable = make "fixed-executable" (fixed "flat" "sha256" wrong) "echo x > $d_out; chmod 755 $d_out";
  fixed-missing = make "fixed-missing" (fixed "flat" "sha256" wrong) "true";
  fixed-writable = make "fixed-writable" (fixed "flat" "sha256" (hashString "sha256" "x")) "printf x > $d_out; chmod 666 $d_out";

  allowed = make "allowed" (uses [ top ] // { allowedReferences = [ top middle ]; }) "echo ${top} > $d_out";
  allowed-not = make "allowed-not" (uses [ top ] // { allowedReferences = [ other ]; }) "echo ${top} ${leaf} > $d_out";
  allowed-none = make "allowed-none" (uses [ top ] // { allowedReferences = [ ]; }) "echo ${top} > $d_out";
  allowed-self-not = make "allowed-self-not" { allowedReferences = [ ]; } "echo $out > $d_out";
  allowed-output = make "allowed-output" { outputs = [ "out" "dev" ]; allowedReferences = [ "dev" "out" ]; } "echo $dev $out > $d_out; echo > $d_dev";
  allowed-unknown = make "allowed-unknown" { outputs = [ "out" "dev" ]; allowedReferences = [ "nothing" ]; } "echo > $d_out; echo > $d_dev";
  requisites = make "requisites" (uses [ top ] // { allowedRequisites = [ top middle leaf ]; }) "echo ${top} $out > $d_out";
  requisites-not = make "requisites-not" (uses [ top ] // { allowedRequisites = [ top ]; }) "echo ${top} > $d_out";
  disallowed = make "disallowed" (uses [ top ] // { disallowedReferences = [ top ]; }) "echo ${top} > $d_out";
  disallowed-deep = make "disallowed-deep" (uses [ top ] // { disallowedRequisites = [ leaf ]; }) "echo ${top} > $d_out";
  disallowed-self = make "disallowed-self" { disallowedRequisites = [ "out" ]; } "echo $out > $d_out";
  disallowed-self-reference = make "disallowed-self-reference" { disallowedReferences = [ "out" ]; } "echo $out > $d_out";
  structured-self = make "structured-self" (check "out" { disallowedRequisites = [ "out" ]; }) "echo $out > $d_out";
  max-size = make "max-size" (check "out" { maxSize = 119; }) "echo x > $d_out";
  max-size-just = make "max-size-just" (check "out" { maxSize = 120; }) "echo x > $d_out";
  max-closure = make "max-closure" (check "out" { maxClosureSize = 500; } // uses [ top ]) "echo ${top} > $d_out";
  max-closure-outputs = make "max-closure-outputs" (structured { outputs = [ "out" "dev" ]; outputChecks.out.maxClosureSize = 239; }) "echo $dev > $d_out; echo x > $d_dev";
  check-of-one = make "check-of-one" (structured { outputs = [ "out" "dev" ]; outputChecks.dev.allowedReferences = [ ]; } // uses [ top ]) "echo ${top} > $d_out; echo ${top} > $d_dev";
  check-first = make "check-first" (structured { outputs = [ "out" "dev" ]; outputChecks.dev.maxSize = 1; outputChecks.out.maxSize = 1; }) "echo > $d_out; echo > $d_dev";
  ca-checked = ca "ca-checked" (uses [ top ] // { disallowedReferences = [ top ]; }) "echo ${top} > $d_out";
}
