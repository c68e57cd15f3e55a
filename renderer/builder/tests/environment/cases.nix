# Derivations whose builder writes down what it was given. `ci/build-environment` builds them with real Nix; what their
# builders saw lies beside this file, and holds for ours.
let
  # In base64, so that Nix finds no paths in it to rewrite or to complain of.
  script = "mkdir $1; base64 /proc/$$/environ >$1/environ; base64 /proc/$$/cmdline >$1/cmdline; uname -m >$1/machine; tar c -C /build . | base64 >$1/files";
  out = builtins.placeholder "out";
  probe =
    attrs:
    derivation (
      {
        name = "probe";
        system = "x86_64-linux";
        builder = "/bin/sh";
        args = [
          "-c"
          script
          "sh"
          out
        ]
        ++ (attrs.moreArgs or [ ]);
      }
      // removeAttrs attrs [ "moreArgs" ]
    );
  structured = attrs: probe ({ __structuredAttrs = true; } // attrs);
  fixed = {
    outputHashMode = "recursive";
    outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  };
  floating = {
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  };
  # Several outputs: the first tells what the builder saw.
  several = names: {
    outputs = names;
    args = [
      "-c"
      (
        script
        + "; shift; for output; do echo >$output; done"
      )
      "sh"
    ]
    ++ map builtins.placeholder names;
  };
  repeat = count: text: builtins.concatStringsSep "" (builtins.genList (_: text) count);
  # Inputs: `leaf`, `middle` refers to it and to itself, `top` to both.
  input =
    name: text:
    derivation {
      inherit name text;
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [
        "-c"
        "echo \"$text\" >$out"
      ];
    };
  leaf = builtins.toFile "leaf" "leaf";
  middle = input "middle" "${leaf} ${out}";
  top = input "top" "${middle} ${leaf}";
  hostile = {
    newline = "a\nb\n\nc\n";
    quotes = "it's \"quoted\" \\ `x` '' ''";
    dollar = "$HOME \${HOME} $(id) %s";
    tabs = "\t \r ";
    empty = "";
    unicode = "ünïcödé 😀 \u2028";
  };
in
{
  minimal = probe { };
  other-system = probe { system = "i686-linux"; };
  level-system = probe { system = "x86_64-v2-linux"; };
  defaults-overridden = probe {
    PATH = "/bin";
    HOME = "/root";
    NIX_STORE = "/store";
    NIX_BUILD_CORES = "77";
  };
  forced-not-overridden = probe {
    NIX_BUILD_TOP = "x";
    TMPDIR = "x";
    TEMPDIR = "x";
    TMP = "x";
    TEMP = "x";
    PWD = "x";
    NIX_LOG_FD = "x";
    TERM = "x";
    NIX_OUTPUT_CHECKED = "x";
    NIX_REMOTE = "x";
    NIX_ATTRS_JSON_FILE = "x";
  };
  hostile-values = probe hostile;
  hostile-names = probe {
    "" = "empty";
    "a=b" = "equals";
    "=" = "only equals";
    "a b" = "space";
    "a.b-c" = "dots";
    "a\nb" = "newline";
    "$x" = "dollar";
    "ünï😀" = "unicode";
    "0" = "digit";
  };
  bytes-that-are-no-text = probe { value = builtins.readFile ./latin1.txt; };
  name-that-is-no-text = probe { ${builtins.readFile ./latin1.txt} = "x"; };
  conversions = probe {
    int = 9223372036854775807;
    negative = -5;
    yes = true;
    no = false;
    nothing = null;
    float = 1.5;
    list = [
      1
      "two"
      true
      [ "three" null ]
      [ ]
    ];
    path = ./latin1.txt;
  };
  null-ignored = probe {
    __ignoreNulls = true;
    nothing = null;
  };
  long-value = probe { value = repeat 500 "0123456789"; };
  many-variables = probe (
    builtins.listToAttrs (
      builtins.genList (n: {
        name = "variable${toString n}";
        value = n;
      }) 120
    )
  );
  arguments = probe {
    moreArgs = [
      ""
      "a b"
      "$x"
      "new\nline"
      "ünï"
      out
      "--prefix=${out}/lib:${out}"
      5
    ];
  };
  placeholder-in-value = probe {
    value = "${out} ${out}${out}/x";
    other = builtins.placeholder "dev";
    half = builtins.substring 0 30 out;
  };
  placeholder-in-name = probe { "X${out}Y" = "x"; };
  several-outputs = probe (several [ "out" "dev" "man" ] // { value = builtins.placeholder "man"; });
  several-outputs-other-order = probe (several [ "lib" "bin" ]);
  pass-as-file = probe {
    passAsFile = [
      "big"
      "placeholder"
      "empty"
    ];
    big = repeat 300 "line\n";
    placeholder = "-> ${out} <-";
    empty = "";
    kept = "kept";
  };
  pass-as-file-hostile = probe (hostile // { passAsFile = builtins.attrNames hostile; });
  pass-as-file-missing = probe { passAsFile = "  absent \t other\nname\r "; };
  pass-as-file-itself = probe { passAsFile = "passAsFile"; };
  pass-as-file-of-out = probe { passAsFile = "out name builder"; };
  pass-as-file-and-path-given = probe {
    passAsFile = "a b";
    a = "1";
    aPath = "given after a";
    b = "2";
    "bPatg" = "x";
  };
  pass-as-file-names = probe {
    passAsFile = "ünï a.b a=b .. /";
    "ünï" = "1";
    "a.b" = "2";
    "a=b" = "3";
    ".." = "4";
    "/" = "5";
  };
  pass-as-file-bytes = probe {
    passAsFile = "value";
    value = builtins.readFile ./latin1.txt;
  };
  pass-as-file-forced = probe {
    passAsFile = "NIX_BUILD_TOP HOME";
    HOME = "x";
    NIX_BUILD_TOP = "y";
  };
  floating = probe floating;
  floating-several = probe (floating // several [ "out" "dev" ]);
  floating-value = probe (floating // { value = "${out}/x"; });
  fixed = probe (fixed // { outputHashAlgo = null; });
  fixed-with-caller = probe (
    fixed
    // {
      impureEnvVars = [
        "NIPHAS_TEST_VARIABLE"
        "NIPHAS_TEST_MISSING"
        "NIPHAS_TEST_EMPTY"
        "given"
        "a=b"
      ];
      given = "by the derivation";
    }
  );
  fixed-with-caller-forced = probe (
    fixed
    // {
      impureEnvVars = "TMPDIR NIX_LOG_FD TERM NIX_OUTPUT_CHECKED PATH";
      PATH = "/own";
    }
  );
  impure = probe {
    __impure = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    impureEnvVars = "NIPHAS_TEST_VARIABLE";
  };
  caller-ignored = probe { impureEnvVars = "NIPHAS_TEST_VARIABLE"; };
  graph = probe {
    exportReferencesGraph = [
      "closure"
      top
    ];
  };
  graph-several = probe {
    exportReferencesGraph = [
      "one"
      leaf
      "_two.x-y"
      middle
      "one"
      top
    ];
  };
  graph-of-derivation = probe {
    exportReferencesGraph = [
      "closure"
      top.drvPath
    ];
  };
  graph-of-folder-in-path = probe {
    exportReferencesGraph = [
      "closure"
      "${top}/sub/folder"
    ];
  };
  graph-empty = probe { exportReferencesGraph = [ ]; };
  fail-graph-odd = probe {
    exportReferencesGraph = [
      "a"
      leaf
      "b"
    ];
  };
  fail-graph-name = probe {
    exportReferencesGraph = [
      "../a"
      leaf
    ];
  };
  fail-graph-name-digit = probe {
    exportReferencesGraph = [
      "1a"
      leaf
    ];
  };
  fail-graph-no-path = probe {
    exportReferencesGraph = [
      "a"
      "/etc/passwd"
    ];
  };
  fail-graph-malformed-path = probe {
    exportReferencesGraph = [
      "a"
      "/nix/store/abc"
    ];
  };
  fail-graph-no-input = probe {
    exportReferencesGraph = [
      "a"
      (builtins.unsafeDiscardStringContext leaf)
    ];
  };
  structured = structured { };
  structured-hostile = structured hostile;
  structured-hostile-names = structured {
    "" = "empty";
    "a=b" = "equals";
    "a b" = "space";
    "a.b" = "dot";
    "a-b" = "dash";
    "0" = "digit";
    "_0" = "fine";
    "ünï" = "unicode";
    "A" = "upper";
    "a\"b\n" = "quote";
    Z = 1;
    z = 2;
    set = {
      "it's" = "quoted ' key";
      "" = "";
      "a\nb]" = 1;
      "ünï" = null;
      B = true;
      a = false;
    };
  };
  structured-integers = structured {
    a = 0;
    b = -1;
    c = 2147483647;
    d = 2147483648;
    e = 4294967301;
    f = -2147483649;
    g = 9223372036854775807;
    h = -9223372036854775807 - 1;
    i = 9007199254740993;
  };
  structured-floats = structured {
    a = 1.5;
    b = 2.0;
    c = 1.0e300;
    d = -0.0;
    e = 1.0e-7;
    f = 0.1;
    g = 1.0e15;
    h = 1.0e16;
    i = 123456789012345680.0;
    j = 3.0e9;
    k = -3.0e9;
    l = 16777217.5;
    m = 2147483647.0;
    n = 2147483648.0;
    o = -2147483648.0;
    p = 2.2250738585072014e-308;
    q = 1.7976931348623157e308;
    r = 3.141592653589793;
    s = 100.0;
    t = builtins.fromJSON "5e-324";
    u = 0.30000000000000004;
    v = 9007199254740993.0;
    w = 1.0e-46;
    x = 2147483647.5;
    y = -1.0e-50;
  };
  structured-simple = structured {
    yes = true;
    no = false;
    nothing = null;
  };
  structured-lists = structured {
    empty = [ ];
    mixed = [
      1
      2.0
      "three"
      true
      false
      null
      "it's"
      "new\nline"
    ];
    fraction = [
      1
      1.5
    ];
    nested = [
      1
      [ 2 ]
    ];
    sets = [ { a = 1; } ];
  };
  structured-sets = structured {
    empty = { };
    mixed = {
      a = 1;
      b = "two";
      c = true;
      d = false;
      e = null;
      f = 2.0;
    };
    fraction.a = 1.5;
    nested.a.b = 1;
    lists.a = [ 1 ];
  };
  structured-deep = structured {
    deep = builtins.foldl' (value: _: if builtins.isList value then { inherit value; } else [ value ]) 1 (
      builtins.genList (n: n) 60
    );
  };
  structured-control-characters = structured {
    value = builtins.fromJSON "\"\\u0001\\u0007\\b\\f\\u001f\\u007f\\u0080\\u2029/\"";
  };
  structured-placeholders = structured {
    value = "${out}/x ${builtins.placeholder "dev"}";
    list = [ out ];
    set.${out} = out;
  };
  structured-names-of-environment = structured {
    PATH = "/bin";
    NIX_ATTRS_JSON_FILE = "x";
    TMPDIR = "y";
    env.HOME = "/root";
  };
  structured-several-outputs = structured (several [ "out" "dev" ]);
  structured-floating = structured (floating // { value = out; });
  structured-floating-several = structured (floating // several [ "dev" "out" ]);
  structured-fixed = structured (
    fixed
    // {
      outputHashAlgo = "sha256";
      impureEnvVars = [
        "NIPHAS_TEST_VARIABLE"
        "NIPHAS_TEST_MISSING"
      ];
    }
  );
  structured-graph = structured {
    exportReferencesGraph = {
      one = top;
      several = [
        leaf
        [ [ middle ] ]
      ];
      none = [ ];
      "hostile name/" = leaf;
    };
  };
  structured-graph-replaces = structured {
    value = "replaced";
    exportReferencesGraph.value = leaf;
    exportReferencesGraph.outputs = leaf;
  };
  structured-graph-of-derivation = structured { exportReferencesGraph.all = top.drvPath; };
  structured-graph-ignored = structured { exportReferencesGraph = [ "a" leaf ]; };
  structured-replaced = structured {
    allowedReferences = [ ];
    allowedRequisites = [ ];
    disallowedReferences = [ ];
    disallowedRequisites = [ ];
    maxSize = 1;
    maxClosureSize = 1;
    passAsFile = [ "x" ];
  };
  structured-checks = structured {
    outputChecks.out = {
      maxSize = 100000.7;
      maxClosureSize = -1;
      allowedReferences = [ "out" ];
      disallowedRequisites = [ leaf ];
    };
    outputChecks.other = { };
    unsafeDiscardReferences.out = false;
    requiredSystemFeatures = [ "benchmark" ];
  };
  fail-structured-graph-number = structured { exportReferencesGraph.a = 1; };
  fail-structured-graph-set = structured { exportReferencesGraph.a.b = leaf; };
  fail-structured-graph-no-path = structured { exportReferencesGraph.a = "x"; };
  fail-prefer-local-build = structured { preferLocalBuild = "1"; };
  fail-allow-substitutes = structured { allowSubstitutes = [ 1.0e22 { a = null; } ]; };
  fail-required-features = structured { requiredSystemFeatures = "kvm"; };
  fail-required-features-number = structured { requiredSystemFeatures = [ "kvm" 1 ]; };
  fail-no-chroot = structured { __noChroot = 1; };
  fail-host-deps = structured { __impureHostDeps = { }; };
  fail-impure-variables = structured { impureEnvVars = null; };
  fail-sandbox-profile = structured { __sandboxProfile = false; };
  fail-local-networking = structured { __darwinAllowLocalNetworking = "yes"; };
  fail-checks = structured { outputChecks = [ ]; };
  fail-checks-of-output = structured { outputChecks.out = 5; };
  fail-max-size = structured { outputChecks.out.maxSize = "5"; };
  fail-max-size-null = structured { outputChecks.out.maxSize = null; };
  fail-max-size-boolean = structured { outputChecks.out.maxClosureSize = true; };
  fail-allowed-references = structured { outputChecks.out.allowedReferences = "out"; };
  fail-disallowed-requisites = structured { outputChecks."o\"ut".disallowedRequisites = [ [ ] ]; };
  fail-discard = structured { unsafeDiscardReferences = true; };
  fail-discard-of-output = structured { unsafeDiscardReferences.out = "yes"; };
  fail-at-the-first = structured {
    allowSubstitutes = 1;
    preferLocalBuild = 2;
    unsafeDiscardReferences = 3;
    impureEnvVars = 4;
  };
}
