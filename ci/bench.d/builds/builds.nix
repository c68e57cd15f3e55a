# What ci/bench build builds. NIPHAS_BENCH_PROGRAMS names a folder with package.c's program and a static shell.
let
  system = "x86_64-linux";
  programs = builtins.path { path = builtins.getEnv "NIPHAS_BENCH_PROGRAMS"; name = "programs"; };
  nonce = builtins.getEnv "NIPHAS_BENCH_NONCE";
  run = name: attributes: script: derivation ({ inherit name system; builder = "/bin/sh"; args = [ "-ec" script ]; } // attributes);

  # A package needs those after it: three of a tree, and one at some distance.
  closure = name: count: files: bytes:
    let
      package = index: derivation {
        name = "${name}-${toString index}";
        inherit system;
        builder = "${programs}/package";
        args = [ (placeholder "out") (toString index) (toString files) (toString bytes) ]
          ++ map package' (builtins.filter (other: other < count) [ (3 * index + 1) (3 * index + 2) (3 * index + 3) ((index * 7 + 11)) ]);
      };
      all = builtins.genList package count;
      package' = builtins.elemAt all;
    in
    builtins.head all;

  started = "cat /proc/uptime | tee $out";
in
rec {
  # 200 that do nothing, and what needs them all.
  trivial = run "trivial" { inputs = builtins.genList (n: run "trivial-${toString n}" { } "echo ${toString n} > $out") 199; } "echo $inputs > $out";

  # 300 paths with 60,000 files.
  large = closure "large" 300 200 2500000;
  with-large = run "with-large" { input = large; inherit nonce; } started;
  with-nothing = run "with-nothing" { inherit nonce; } started;

  # One file of 1 GiB.
  gibibyte = derivation { name = "gibibyte"; inherit system nonce; builder = "${programs}/package"; args = [ (placeholder "out") "1" "0" "1073741824" ]; };

  # What a service is made of: most of it in the cache, and itself to be built.
  libraries = closure "library" 60 100 2000000;
  service = run "service" { inherit libraries nonce; } "mkdir -p $out/bin; echo \"#!$libraries/bin/sh $nonce\" > $out/bin/service; chmod +x $out/bin/service" // { meta.mainProgram = "service"; };
}
