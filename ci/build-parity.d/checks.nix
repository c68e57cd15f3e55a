# Checks of outputs: references, requisites and sizes.
with import ./lib.nix;
let
  a = run "check-a" "echo a > $out";
  b = run "check-b" "echo ${a} > $out";
  c = run "check-c" "echo ${b} > $out";
  refers = "echo $use > $out";
  plain = name: attributes: sh name ({ use = b; } // attributes) refers;
  out = name: "$(sed -n 's/.*\"${name}\":\"\\(\\/nix\\/store\\/[^\"]*\\)\".*/\\1/p' $NIX_ATTRS_JSON_FILE | head -n 1)";
  structured = name: attributes: sh name ({ __structuredAttrs = true; outputs = [ "out" "dev" ]; } // attributes)
    "out=${out "out"}; dev=${out "dev"}; echo ${b} $out > $out; echo ${a} $out > $dev; head -c 5000 /dev/zero >> $dev";
in
{
  allowed-references = plain "allowed-references" { allowedReferences = [ b ]; };
  allowed-references-fail = failing 1 (plain "allowed-references-fail" { allowedReferences = [ a ]; });
  allowed-references-none = failing 1 (plain "allowed-references-none" { allowedReferences = [ ]; });
  allowed-references-self = sh "allowed-references-self" { allowedReferences = [ "out" ]; } "echo $out > $out";
  allowed-references-not-self = failing 1 (sh "allowed-references-not-self" { allowedReferences = [ ]; } "echo $out > $out");
  allowed-references-output = sh "allowed-references-output" { outputs = [ "out" "dev" ]; allowedReferences = [ "dev" ]; } "echo $dev > $out; echo > $dev";
  allowed-references-unknown = failing 1 (plain "allowed-references-unknown" { allowedReferences = [ "nothing" ]; });
  allowed-requisites = plain "allowed-requisites" { allowedRequisites = [ a b ]; };
  allowed-requisites-fail = failing 1 (plain "allowed-requisites-fail" { allowedRequisites = [ b ]; });
  allowed-requisites-deep = failing 1 (sh "allowed-requisites-deep" { use = c; allowedRequisites = [ c ]; } refers);
  disallowed-references = plain "disallowed-references" { disallowedReferences = [ a ]; };
  disallowed-references-fail = failing 1 (plain "disallowed-references-fail" { disallowedReferences = [ b ]; });
  disallowed-references-self = failing 1 (sh "disallowed-references-self" { disallowedReferences = [ "out" ]; } "echo $out > $out");
  disallowed-references-two = failing 1 (sh "disallowed-references-two" { use = [ a b ]; disallowedReferences = [ a b ]; } refers);
  disallowed-requisites = plain "disallowed-requisites" { disallowedRequisites = [ c ]; };
  disallowed-requisites-fail = failing 1 (plain "disallowed-requisites-fail" { disallowedRequisites = [ a ]; });
  disallowed-requisites-several = failing 1 (sh "disallowed-requisites-several" { use = c; disallowedRequisites = [ a b ]; } refers);
  both = failing 1 (plain "check-both" { allowedReferences = [ b ]; disallowedRequisites = [ a ]; });
  of-all-outputs = failing 1 (sh "check-all-outputs" { outputs = [ "out" "dev" ]; disallowedReferences = [ a ]; } "echo > $out; echo ${a} > $dev");
  structured = structured "checks-structured" { outputChecks = { out = { allowedReferences = [ b "out" ]; maxSize = 1000; }; dev = { disallowedReferences = [ b ]; maxClosureSize = 10000; }; }; };
  structured-allowed-references = failing 1 (structured "checks-allowed-references" { outputChecks.out.allowedReferences = [ ]; });
  structured-ignores-self = failing 1 (structured "checks-ignore-self" { outputChecks.out = { allowedReferences = [ b ]; ignoreSelfRefs = true; }; });
  structured-self = failing 1 (structured "checks-self" { outputChecks.out.allowedReferences = [ b ]; });
  structured-allowed-requisites = failing 1 (structured "checks-allowed-requisites" { outputChecks.out.allowedRequisites = [ b ]; });
  structured-disallowed-requisites = failing 1 (structured "checks-disallowed-requisites" { outputChecks.dev.disallowedRequisites = [ a ]; });
  max-size = failing 1 (structured "checks-max-size" { outputChecks.dev.maxSize = 5000; });
  max-size-exact = sh "checks-max-size-exact" { __structuredAttrs = true; outputChecks.out.maxSize = 120; } "o=${out "out"}; printf 12345678 > $o";
  max-closure-size = failing 1 (structured "checks-max-closure-size" { outputChecks.out.maxClosureSize = 200; });
  unknown-output = structured "checks-unknown-output" { outputChecks.nothing.maxSize = 1; };
  discard-then-check = sh "checks-discard" { __structuredAttrs = true; unsafeDiscardReferences.out = true; outputChecks.out.allowedReferences = [ ]; } "echo ${a} > ${out "out"}";
  legacy-in-structured = sh "checks-legacy" { __structuredAttrs = true; allowedReferences = [ ]; } "echo ${a} > ${out "out"}";
}
