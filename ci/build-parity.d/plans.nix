# Graphs of derivations and sources.
with import ./lib.nix;
let
  node = name: inputs: sh name { inherit inputs; } "mkdir $out; for i in $inputs; do ln -s $i $out/; done; echo ${name} > $out/name";
  a = node "plan-a" [ ];
  b = node "plan-b" [ a ];
  c = node "plan-c" [ a ];
  chain = builtins.foldl' (below: n: run "chain-${toString n}" "echo ${if below == null then "end" else below} > $out") null (builtins.genList (n: n) 25);
  many = sh "plan-many-outputs" { outputs = [ "out" "dev" "doc" ]; } "for o in $out $dev $doc; do echo $o > $o; done";
in
{
  diamond = node "plan-d" [ b c ];
  inherit chain;
  wide = node "plan-wide" (builtins.genList (n: node "wide-${toString n}" [ ]) 30);
  layers = builtins.foldl' (below: n: node "layer-${toString n}" (builtins.genList (m: sh "layer-${toString n}-${toString m}" { inherit below; } "echo $below > $out") 4)) a [ 1 2 3 4 ];
  one-of-three = sh "plan-uses-dev" { use = many.dev; } "cat $use > $out";
  all-of-three = sh "plan-uses-all" { use = [ many.out many.dev many.doc ]; } "cat $use > $out";
  same-name = { build = { one = node "plan-same" [ a ]; two = node "plan-same" [ b ]; }; };
  sequential = with' { max-jobs = 1; } 0 (node "plan-sequential" (builtins.genList (n: node "sequential-${toString n}" [ ]) 4));
  jobs = with' { max-jobs = 4; } 0 (node "plan-jobs" (builtins.genList (n: run "jobs-${toString n}" "sleep 0.3; echo ${toString n} > $out") 8));
  source-file = sh "source-file" { src = ./lib.nix; } "cat $src > $out; ls -ln $src | cut -c 1-10 >> $out";
  source-tree = sh "source-tree" { src = ./tree; } "cd $src; find . | sort > $out; find . -type f -perm -100 >> $out; cat sub/file >> $out";
  source-filtered = sh "source-filtered" { src = builtins.path { path = ./tree; name = "filtered"; filter = path: type: baseNameOf path != "script"; }; } "cd $src; find . | sort > $out";
  source-named = sh "source-named" { src = builtins.path { path = ./bytes; name = "other-name"; }; } "echo $src > $out; cat $src >> $out";
  source-flat = sh "source-flat" { src = builtins.path { path = ./bytes; name = "flat"; recursive = false; }; } "cat $src > $out";
  text-with-references = sh "plan-text" { src = text "with-references" "see ${text "referred" "x"} and ${placeholder "out"}"; } "cat $src > $out; ls /nix/store | grep -c referred >> $out";
  text-of-a-derivation = sh "plan-text-drv" { src = builtins.toFile "drv-text" "see ${builtins.unsafeDiscardOutputDependency a.drvPath}"; } "cat $src > $out; ls /nix/store | wc -l >> $out";
  # What of a derivation's closure is in the store by then differs from run to run, with Nix on both sides, too.
  derivation-as-input = with' { varies = [ "outputs" ]; } 0 (sh "plan-drv-input" { drv = (node "plan-drv-of-it" [ ]).drvPath; } "ls /nix/store | sort | sed 's/-plan-drv-input$//' | cut -c 34- > $out; wc -c < $drv");
  derivation-file-only = with' { varies = [ "outputs" ]; } 0 (sh "plan-drv-file" { drv = builtins.unsafeDiscardOutputDependency (node "plan-drv-alone" [ ]).drvPath; } "ls /nix/store | cut -c 34- | sort > $out");
  appended-context = sh "plan-append" { flag = "-I${a}/include:${b}"; } "echo $flag > $out";
  nothing-to-build = { build = { x = a; y = many; }; };
  deep-references = run "plan-deep" "echo ${node "plan-deep-3" [ (node "plan-deep-2" [ (node "plan-deep-1" [ a ]) ]) ]} > $out; ls /nix/store | wc -l";
}
