# Every way to fail.
with import ./lib.nix;
let
  exits = code: run "exit-${toString code}" "echo before; exit ${toString code}";
  kills = signal: run "signal-${signal}" "sh -c 'kill -${signal} \$\$'; echo \"status $?\"; exit 5";
  # Process 1 of a namespace has no default actions of signals: what it starts has.
  ok = run "failure-ok" "echo fine > $out";
in
{
  exit-1 = failing 100 (exits 1);
  exit-2 = failing 100 (exits 2);
  exit-42 = failing 100 (exits 42);
  exit-100 = failing 100 (exits 100);
  exit-127 = failing 100 (exits 127);
  exit-255 = failing 100 (exits 255);
  child-killed-by-term = failing 100 (kills "TERM");
  child-killed-by-kill = failing 100 (kills "KILL");
  killed-by-segv = failing 100 (run "killed-segv" "echo x; kill -SEGV $$; sleep 1; kill -ABRT $$; sleep 1; exit 9");
  nothing-said = failing 100 (run "nothing-said" "exit 1");
  one-line-said = failing 100 (run "one-line-said" "echo only this; exit 1");
  much-said = failing 100 (run "much-said" "seq 1 60; exit 1");
  half-a-line-said = failing 100 (run "half-a-line-said" "printf 'no end'; exit 1");
  escapes-said = failing 100 (run "escapes-said" "printf '\\033[31mred\\033[0m\\n\\033]0;title\\007\\n'; exit 1");
  outputs-made-before = failing 100 (run "outputs-before" "echo x > $out; exit 1");
  timeout = with' { timeout = 1; } 101 (run "timeout" "echo begun; sleep 20");
  timeout-with-output = with' { timeout = 1; } 101 (run "timeout-with-output" "i=0; while [ $i -lt 200 ]; do echo $i > /dev/null; sleep 0.1; i=$((i+1)); done");
  timeout-not-reached = with' { timeout = 30; } 0 (run "timeout-not-reached" "echo x > $out");
  silent = with' { max-silent-time = 1; } 101 (run "silent" "echo begun; sleep 20");
  silent-is-not-reached = with' { max-silent-time = 2; } 0 (run "silent-not-reached" "for i in 1 2 3; do sleep 1; echo $i; done; echo x > $out");
  both-times = with' { timeout = 2; max-silent-time = 1; } 101 (run "both-times" "echo begun; sleep 20");
  # How much of it was read by then is chance.
  log-limit = with' { max-build-log-size = 1000; varies = [ "log" ]; } 1 (run "log-limit" "yes | head -n 3000; sleep 5; echo x > $out");
  log-limit-not-reached = with' { max-build-log-size = 1000; } 0 (run "log-limit-not-reached" "yes | head -n 100; echo x > $out");
  dependency = failing 100 (sh "dependency-user" { input = run "dependency-failed" "exit 3"; } "echo > $out");
  dependency-of-dependency = failing 100 (sh "dependency-top" { input = sh "dependency-middle" { input = run "dependency-bottom" "exit 3"; } "echo > $out"; } "echo > $out");
  two-dependencies = with' { keep-going = true; } 100 (sh "dependencies-user" { inputs = [ (run "dependencies-1" "exit 3") (run "dependencies-2" "exit 4") ]; } "echo > $out");
  keep-going = { build = { a = run "going-a" "exit 3"; b = run "going-b" "echo b > $out"; c = sh "going-c" { input = run "going-d" "exit 4"; } "echo > $out"; e = sh "going-e" { input = run "going-f" "echo f > $out"; } "cat $input > $out"; }; options.keep-going = true; exit = 100; };
  keep-going-timeout = { build = { a = run "going-timeout" "sleep 20"; b = run "going-exit" "exit 1"; }; options = { keep-going = true; timeout = 1; }; exit = 101; };
  keep-going-hash = { build = { a = sh "going-hash" (fixed (sha256 "no")) "printf x > $out"; b = run "going-exit-too" "exit 1"; }; options.keep-going = true; exit = 102; };
  failed-and-valid = { build = { a = ok; b = sh "failure-after" { input = ok; } "exit 1"; }; exit = 100; };
  foreign-system = failing 100 (sh "foreign-system" { system = "aarch64-linux"; } "echo x > $out");
  unknown-system = failing 100 (sh "unknown-system" { system = "vax-vms"; } "echo x > $out");
  foreign-dependency = failing 100 (sh "foreign-user" { input = sh "foreign-input" { system = "aarch64-darwin"; } "echo x > $out"; } "echo > $out");
  missing-feature = failing 100 (sh "missing-feature" { requiredSystemFeatures = [ "quantum" ]; } "echo x > $out");
  missing-features = failing 100 (sh "missing-features" { requiredSystemFeatures = [ "quantum" "big-parallel" "apple-virt" ]; } "echo x > $out");
  known-feature = sh "known-feature" { requiredSystemFeatures = [ "big-parallel" "benchmark" "nixos-test" ]; } "echo x > $out";
  kvm = sh "feature-kvm" { requiredSystemFeatures = [ "kvm" ]; } "test -c /dev/kvm; stat -c '%a %t %T' /dev/kvm > $out";
  foreign-and-feature = failing 100 (sh "foreign-feature" { system = "riscv64-linux"; requiredSystemFeatures = [ "quantum" ]; } "echo x > $out");
  prefer-local = sh "prefer-local" { preferLocalBuild = true; allowSubstitutes = false; } "echo x > $out";
  bad-attribute = failing 1 (sh "bad-attribute" { allowedReferences = 1; } "echo x > $out");
  unknown-builtin = failing 100 (derivation { name = "unknown-builtin"; system = "builtin"; builder = "builtin:nothing"; });
}
