# Derivations of every kind, for the vectors beside this file.
let
  base = {
    system = "x86_64-linux";
    builder = "/bin/sh";
  };
  mk = args: derivation (base // args);
  source = builtins.toFile "source.txt" "a source\n";
  fixed = mk {
    name = "fixed";
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    url = "one";
  };
  fixedElsewhere = mk {
    name = "fixed";
    outputHash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    url = "another way to get the same";
  };
  fixedRecursive = mk {
    name = "fixed-recursive";
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
  };
  fixedSha1 = mk {
    name = "fixed-sha1";
    outputHashMode = "recursive";
    outputHash = "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709";
  };
  fixedMd5 = mk {
    name = "fixed-md5";
    outputHashAlgo = "md5";
    outputHash = "d41d8cd98f00b204e9800998ecf8427e";
  };
  fixedSha512 = mk {
    name = "fixed-sha512.tar.gz";
    outputHash = "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";
  };
  fixedBlake3 = mk {
    name = "fixed-blake3";
    outputHashMode = "nar";
    outputHashAlgo = "blake3";
    outputHash = "blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=";
  };
  fixedGit = mk {
    name = "fixed-git";
    outputHashMode = "git";
    outputHashAlgo = "sha1";
    outputHash = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
  };
  fixedText = mk {
    name = "fixed-text";
    outputHashMode = "text";
    outputHashAlgo = "sha256";
    outputHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  };
  several = mk {
    name = "several-1.0";
    outputs = [
      "out"
      "dev"
      "lib"
    ];
    devPath = placeholder "dev";
  };
  floating = mk {
    name = "floating";
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputs = [
      "out"
      "bin"
    ];
  };
  impure = mk {
    name = "impure";
    __impure = true;
  };
  producing = mk {
    name = "producing.drv";
    __contentAddressed = true;
    outputHashMode = "text";
    outputHashAlgo = "sha256";
  };
in
{
  inherit
    fixed
    fixedElsewhere
    fixedRecursive
    fixedSha1
    fixedMd5
    fixedSha512
    fixedBlake3
    fixedGit
    fixedText
    several
    floating
    impure
    producing
    ;
  plain = mk { name = "plain"; };
  escapes = mk {
    name = "escapes";
    args = [
      "quote \" backslash \\ dollar \$ newline \n return \r tab \t"
      ""
    ];
    bytes = "grüße, 世界";
    "a \"quoted\" variable" = "\\";
  };
  sources = mk {
    name = "sources";
    src = source;
    args = [
      source
      (builtins.toFile "other.txt" "refers to ${source}")
    ];
  };
  inputs = mk {
    name = "inputs";
    inherit (several) dev;
    a = several;
    b = fixed;
    c = fixedRecursive;
    args = [ "${several.lib}/lib" ];
  };
  inputsElsewhere = mk {
    name = "inputs-elsewhere";
    a = fixedElsewhere;
    b = fixed;
  };
  deep = mk {
    name = "deep";
    input = mk {
      name = "middle";
      a = several.dev;
      b = mk {
        name = "bottom";
        inherit fixedSha1;
      };
    };
  };
  structured = mk {
    name = "structured";
    __structuredAttrs = true;
    outputs = [
      "out"
      "man"
    ];
    number = 1.5;
    list = [
      1
      { deep = null; }
      "\"\\\n"
    ];
    path = fixed;
    yes = true;
    Zupper = "sorted before env's out";
  };
  structuredFixed = mk {
    name = "structured-fixed";
    __structuredAttrs = true;
    outputHash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
  };
  onFloating = mk {
    name = "on-floating";
    a = floating;
    inherit (floating) bin;
  };
  onOnFloating = mk {
    name = "on-on-floating";
    a = mk {
      name = "between";
      outputs = [
        "dev"
        "out"
      ];
      a = floating;
    };
  };
  onImpure = mk {
    name = "on-impure";
    __impure = true;
    a = impure;
  };
  dynamic = mk {
    name = "dynamic";
    a = builtins.outputOf producing.outPath "out";
    b = producing;
  };
  drvPath = mk {
    name = "names-drv-path";
    a = builtins.unsafeDiscardOutputDependency several.drvPath;
    whole = fixed.drvPath;
  };
  names = mk { name = "a+b-c._d?e=f"; };
  ignoreNulls = mk {
    name = "ignore-nulls";
    __ignoreNulls = true;
    gone = null;
    list = [
      "a"
      [ ]
      [ "b" ]
      true
      1
    ];
  };
}
