# Nix's own builders. What is fetched comes from NIPHAS_PARITY_URL, where ci/build-parity serves: /file with "x", /tree.nar.xz,
# /file.nar.xz, and /missing, which is not there.
with import ./lib.nix;
let
  # A build with network that fails may succeed later, which is another kind of failure: exit code 1.
  url = builtins.getEnv "NIPHAS_PARITY_URL";
  # Evaluated by both sides, and where it is served is in no output: the port is in derivations only.
  fetch = name: attributes: derivation ({
    inherit name;
    system = "builtin";
    builder = "builtin:fetchurl";
    outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = sha256 "x";
    preferLocalBuild = true;
  } // attributes);
  nar = hash: { outputHashMode = "recursive"; outputHash = hash; };
  wrong = sha256 "something else";
  # The hashes of /tree.nar.xz and /file.nar.xz once unpacked.
  tree = builtins.getEnv "NIPHAS_PARITY_TREE";
  executable = builtins.getEnv "NIPHAS_PARITY_EXECUTABLE";

  buildenv = name: attributes: derivation ({
    inherit name;
    system = "builtin";
    builder = "builtin:buildenv";
    manifest = text "env-manifest" "[ ]";
  } // attributes);
  entry = paths: priority: [ "true" (toString priority) "1" ] ++ paths;
  inactive = paths: [ "false" "5" "1" ] ++ paths;
  package = name: script: run "package-${name}" "mkdir $out; cd $out; ${script}";
  one = package "one" "mkdir bin share; echo 1 > bin/one; echo 1 > share/text; mkdir share/one; echo > share/one/f";
  two = package "two" "mkdir bin share; echo 2 > bin/two; echo 2 > share/other; ln -s other share/link";
  clash = package "clash" "mkdir bin; echo c > bin/one";
  file-for-folder = package "file-for-folder" "echo > share";
  special = package "special" "mkdir -p nix-support share/info share/man lib/perl bin; echo > nix-support/x; echo > share/info/dir; echo > lib/perl/perllocal.pod; echo > .hidden; mkdir .hiddendir; echo > .hiddendir/f; echo > bin/tool; mkdir log; echo > log/l; echo > manifest.nix; echo > manifest.json";
  propagates = package "propagates" "mkdir nix-support bin; echo ${two} > nix-support/propagated-user-env-packages; echo p > bin/p";
  propagates-build = package "propagates-build" "mkdir nix-support; echo ${two} > nix-support/propagated-build-inputs; echo q > propagated-build-inputs";
  dangling = package "dangling" "ln -s nowhere gone; ln -s /nix/store away";
  linked = package "linked" "ln -s ${one}/bin bin; ln -s ${one}/share share";
  is-a-file = run "package-file" "echo > $out";

  archive = name: script: run "archive-${name}" "mkdir work; cd work; ${script}";
  channel = src: derivation { name = "channel"; system = "builtin"; builder = "builtin:unpack-channel"; channelName = "main"; inherit src; };
  named = name: src: derivation { inherit name src; system = "builtin"; builder = "builtin:unpack-channel"; channelName = name; };
  content = "mkdir -p top/sub; echo x > top/f; echo y > top/sub/g; ln -s f top/l; printf '#!/bin/sh\\n' > top/run; chmod +x top/run";
in
{
  fetch = fetch "fetched" { url = "${url}/file"; };
  fetch-twice = { build = { a = fetch "fetched-a" { url = "${url}/file"; }; b = fetch "fetched-b" { url = "${url}/file"; }; }; };
  fetch-wrong = failing 102 (fetch "fetched-wrong" { url = "${url}/file"; outputHash = wrong; });
  fetch-missing = failing 1 (fetch "fetched-missing" { url = "${url}/missing"; });
  fetch-refused = failing 1 (fetch "fetched-refused" { url = "http://127.0.0.1:1/x"; });
  fetch-without-url = failing 1 (fetch "fetched-without-url" { });
  fetch-executable = fetch "fetched-executable" ({ url = "${url}/file"; executable = true; } // nar executable);
  fetch-unpacked = fetch "fetched-unpacked" ({ url = "${url}/tree.nar.xz"; unpack = true; } // nar tree);
  fetch-unpacked-wrong = failing 102 (fetch "fetched-unpacked-wrong" ({ url = "${url}/tree.nar.xz"; unpack = true; } // nar wrong));
  fetch-unpacked-no-nar = failing 1 (fetch "fetched-no-nar" ({ url = "${url}/file"; unpack = true; } // nar tree));
  fetch-nar-hash = fetch "fetched-nar" ({ url = "${url}/file"; } // nar "sha256-LKC4zplvhl2zdhm/6RAjVZMFqtgVgEL8bdsO8dQ8W2c=");
  fetch-from-store = fetch "fetched-from-store" { url = "file://${text "to-be-fetched" "x"}"; };
  # It sees the sandbox's file, not the machine's.
  fetch-from-machine = failing 102 (fetch "fetched-from-machine" { url = "file:///etc/passwd"; });
  fetch-not-fixed = failing 100 (derivation { name = "fetched-not-fixed"; system = "builtin"; builder = "builtin:fetchurl"; url = "${url}/file"; });
  fetch-used = sh "fetched-used" { input = fetch "fetched-input" { url = "${url}/file"; }; } "cat $input > $out";
  fetch-bad-scheme = failing 1 (fetch "fetched-bad-scheme" { url = "gopher9://x/y"; });

  env-empty = buildenv "env-empty" { derivations = [ ]; };
  env-one = buildenv "env-one" { derivations = entry [ one ] 5; };
  env-two = buildenv "env-two" { derivations = entry [ one ] 5 ++ entry [ two ] 5; };
  env-priority = buildenv "env-priority" { derivations = entry [ one ] 5 ++ entry [ clash ] 4; };
  env-priority-other = buildenv "env-priority-other" { derivations = entry [ clash ] 6 ++ entry [ one ] 5; };
  env-clash = failing 100 (buildenv "env-clash" { derivations = entry [ one ] 5 ++ entry [ clash ] 5; });
  env-same-twice = buildenv "env-same-twice" { derivations = entry [ one ] 5 ++ entry [ one ] 5; };
  env-file-for-folder = failing 100 (buildenv "env-file-for-folder" { derivations = entry [ one ] 5 ++ entry [ file-for-folder ] 5; });
  env-special = buildenv "env-special" { derivations = entry [ special ] 5; };
  env-propagates = buildenv "env-propagates" { derivations = entry [ propagates ] 5; };
  env-propagates-build = buildenv "env-propagates-build" { derivations = entry [ propagates-build ] 5; };
  env-dangling = buildenv "env-dangling" { derivations = entry [ dangling ] 5 ++ entry [ one ] 5; };
  env-linked = buildenv "env-linked" { derivations = entry [ linked ] 5 ++ entry [ two ] 5; };
  env-inactive = buildenv "env-inactive" { derivations = inactive [ one ] ++ entry [ two ] 5; };
  env-file = buildenv "env-file" { derivations = entry [ is-a-file ] 5 ++ entry [ one ] 5; };
  env-several-outputs = buildenv "env-several" { derivations = [ "true" "5" "2" one two ]; };
  env-bad-list = failing 100 (buildenv "env-bad-list" { derivations = [ "true" "x" ]; });
  env-without-manifest = failing 100 (derivation { name = "env-no-manifest"; system = "builtin"; builder = "builtin:buildenv"; derivations = [ ]; });

  channel-plain = channel (archive "plain" "${content}; tar c top > $out");
  channel-gz = named "gz" (archive "gz" "${content}; tar c top | gzip -n > $out");
  channel-bz2 = named "bz2" (archive "bz2" "${content}; tar c top | bzip2 > $out");
  channel-two = failing 100 (named "two" (archive "two" "${content}; mkdir other; tar c top other > $out"));
  channel-empty = failing 100 (named "empty" (archive "empty" "tar c -T /dev/null > $out"));
  channel-file = named "file" (archive "file" "echo x > single; tar c single > $out");
  channel-not-an-archive = failing 100 (named "no-archive" (text "no-archive" "this is no archive\n"));
  channel-name = failing 100 (derivation { name = "channel-name"; system = "builtin"; builder = "builtin:unpack-channel"; channelName = "a/b"; src = archive "plain" "${content}; tar c top > $out"; });
  channel-without-source = failing 100 (derivation { name = "channel-no-src"; system = "builtin"; builder = "builtin:unpack-channel"; channelName = "main"; });
}
