# exportReferencesGraph the old way, and what a builder sees of its input closure.
with import ./lib.nix;
let
  a = run "graph-a" "mkdir $out; echo a > $out/f";
  b = run "graph-b" "mkdir $out; ln -s ${a}/f $out/l; echo $out > $out/self";
  c = run "graph-c" "echo ${b} > $out";
  graph = name: list: sh name { exportReferencesGraph = list; } "cat /build/g* > $out; ls -A /build";
in
{
  one = graph "graph-one" [ "g" b ];
  two = graph "graph-two" [ "g1" a "g2" c ];
  source = graph "graph-source" [ "g" (text "graph-text" "${text "graph-text-input" "x"}") ];
  derivation = graph "graph-derivation" [ "g" a.drvPath ];
  derivation-closure = graph "graph-derivation-closure" [ "g" c.drvPath ];
  multiple-outputs = graph "graph-multiple-outputs" [ "g" (sh "graph-multiple" { outputs = [ "out" "dev" ]; } "echo $dev > $out; echo > $dev").dev ];
  bad-name = failing 1 (graph "graph-bad-name" [ "../g" a ]);
  odd-list = failing 1 (graph "graph-odd-list" [ "g" ]);
  not-a-path = failing 1 (graph "graph-not-a-path" [ "g" "/etc/passwd" ]);
  not-an-input = failing 100 (graph "graph-not-an-input" [ "g" (builtins.unsafeDiscardStringContext "${text "graph-undeclared" "q"}") ]);
  inside-a-path = graph "graph-inside" [ "g" "${a}/f" ];
  # The closure and nothing else.
  store-of-closure = run "graph-store" "echo ${c} > $out; ls /nix/store | sort | sed 's/.*-graph-store$/own/' >> $out; ls -la /nix/store | wc -l >> $out";
  store-without-inputs = run "graph-store-empty" "ls /nix/store > $out";
  modes-of-inputs = run "graph-modes" "cd ${b}; stat -c '%a %u %g %Y %h %F' ${text "graph-modes-text" "x"}; stat -c '%a %u %g %Y %h %F' . ${a} ${a}/f ${b}/l > $out";
  inputs-are-read-only = run "graph-read-only" "(echo x > ${a}/f; rm ${a}/f; mkdir ${a}/d; chmod 777 ${a}; touch ${a}/f; mv ${a} ${a}-moved; rm -rf ${a}) > $out 2>&1 || true; cat ${a}/f >> $out; cat $out";
  input-by-hash-only = run "graph-hash-only" "echo ${builtins.substring 11 32 "${a}"} > $out";
  unused-input = sh "graph-unused" { inherit a b; } "echo nothing > $out";
}
