# Fixed outputs.
with import ./lib.nix;
let
  flat = name: algo: hash: sh name { outputHashMode = "flat"; outputHashAlgo = algo; outputHash = hash; };
  nar = name: hash: sh name { outputHashMode = "recursive"; outputHashAlgo = "sha256"; outputHash = hash; };
  wrong = sha256 "something else";
  x = "printf x > $out";
in
{
  sha256 = flat "fixed-sha256" "sha256" (sha256 "x") x;
  sha1 = flat "fixed-sha1" "sha1" (builtins.hashString "sha1" "x") x;
  sha512 = flat "fixed-sha512" "sha512" (builtins.hashString "sha512" "x") x;
  md5 = flat "fixed-md5" "md5" (builtins.hashString "md5" "x") x;
  sri = flat "fixed-sri" null (builtins.convertHash { hash = sha256 "x"; hashAlgo = "sha256"; toHashFormat = "sri"; }) x;
  base32 = flat "fixed-base32" "sha256" (builtins.convertHash { hash = sha256 "x"; hashAlgo = "sha256"; toHashFormat = "nix32"; }) x;
  nar-file = nar "fixed-nar-file" "sha256-LKC4zplvhl2zdhm/6RAjVZMFqtgVgEL8bdsO8dQ8W2c=" x;
  text = sh "fixed-text" { outputHashMode = "text"; outputHashAlgo = "sha256"; outputHash = sha256 "x"; } x;
  wrong = failing 102 (flat "fixed-wrong" "sha256" wrong x);
  wrong-sha1 = failing 102 (flat "fixed-wrong-sha1" "sha1" (builtins.hashString "sha1" "w") x);
  wrong-nar = failing 102 (nar "fixed-wrong-nar" wrong "mkdir $out; echo x > $out/f");
  wrong-text = failing 102 (sh "fixed-wrong-text" { outputHashMode = "text"; outputHashAlgo = "sha256"; outputHash = wrong; } x);
  empty-hash = failing 102 (flat "fixed-empty-hash" "sha256" "" x);
  wrong-for-a-user = failing 102 (sh "fixed-user" { input = flat "fixed-wrong-used" "sha256" wrong "printf y > $out"; } "cat $input > $out");
  two-wrong = { build = { a = flat "fixed-wrong-1" "sha256" wrong "printf 1 > $out"; b = flat "fixed-wrong-2" "sha256" wrong "printf 2 > $out"; }; options.keep-going = true; exit = 102; };
  reference-and-wrong = failing 102 (nar "fixed-reference-wrong" wrong "echo ${text "fixed-input" "x"} > $out");
  self-reference = failing 102 (nar "fixed-self" wrong "echo $out > $out");
  folder-in-flat-mode = failing 1 (flat "fixed-flat-folder" "sha256" wrong "mkdir $out");
  executable-in-flat-mode = failing 1 (flat "fixed-flat-executable" "sha256" (sha256 "x") "${x}; chmod +x $out");
  symlink-in-flat-mode = failing 1 (flat "fixed-flat-symlink" "sha256" wrong "ln -s /etc/passwd $out");
  fails = failing 1 (flat "fixed-fails" "sha256" wrong "exit 7");
  missing = failing 1 (flat "fixed-missing" "sha256" wrong "true");
  same-path-from-two = { options.varies = [ "log" ]; build = { a = flat "fixed-same" "sha256" (sha256 "x") x; b = flat "fixed-same" "sha256" (sha256 "x") "${x} # in another way"; }; };
  used = sh "fixed-used" { input = flat "fixed-an-input" "sha256" (sha256 "x") x; } "cat $input > $out; echo $input >> $out";
  # The hash decides the path of what uses it, not how it was made. Which of them is made is chance.
  used-made-otherwise = { options.varies = [ "log" ]; build = {
    a = sh "fixed-used-twice" { input = flat "fixed-made" "sha256" (sha256 "x") x; } "cat $input > $out";
    b = sh "fixed-used-twice" { input = flat "fixed-made" "sha256" (sha256 "x") "${x} # again"; } "cat $input > $out";
  }; };
  writable = failing 1 (flat "fixed-writable" "sha256" (sha256 "x") "${x}; chmod 666 $out");
  hard-link-to-elsewhere = flat "fixed-hard-link" "sha256" (sha256 "x") "printf x > /nix/store/f; ln /nix/store/f $out";
  open-while-checked = flat "fixed-open" "sha256" (sha256 "x") "${x}; (exec 5>>$out; sleep 3; echo more >&5) & true";
}
