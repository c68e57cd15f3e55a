# What must hold of nixlib. Evaluates to the cases that fail: `nix-instantiate --eval --strict nixlib/tests` prints `{ }`.
let
  inherit (import ../default.nix) mkEnvironment;
  merge = import ../merge.nix;

  # As modules merge definitions, `[ [ level value ] … ]`, with what nixpkgs' lib makes of `mkIf` and the like.
  ofModules = import ../modules/merge.nix;
  merged =
    function: definitions:
    function [ ] (
      map (one: {
        level = builtins.head one;
        value = builtins.elemAt one 1;
        file = "test.nix";
      }) definitions
    );
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkOrder = priority: content: { _type = "order"; inherit priority content; };
  fails = value: !(builtins.tryEval (builtins.deepSeq value value)).success;

  package =
    system: name: extra:
    derivation {
      inherit name system;
      builder = "/bin/sh";
      outputs = [ "out" ];
    }
    // {
      meta.mainProgram = name;
    }
    // extra;

  environment =
    attributes:
    mkEnvironment (
      {
        systems = [ "x86_64-linux" "aarch64-linux" ];
        pkgsFor = system: { web = package system "web" { }; };
        workloads = { };
      }
      // attributes
    );

  web = attributes: (environment ({ workloads.web = { }; } // attributes)).workloads.web.x86_64-linux;

  columnOf =
    name: set:
    let
      position = builtins.unsafeGetAttrPos name set;
    in
    if position == null then null else position.column;

  tests = {
    an-environment-says-what-it-is = {
      actual = removeAttrs (environment { namespace = "shop"; }) [ "workloads" "roots" ];
      expected = {
        _type = "niphas-environment";
        version = 1;
        namespace = "shop";
        positions = { };
        systems = [ "x86_64-linux" "aarch64-linux" ];
      };
    };

    roots-are-all-that-the-workloads-refer-to = {
      actual =
        let
          inherit
            (environment {
              workloads.web = { pkgs, ... }: {
                package = pkgs.web;
                args = [ "${builtins.toFile "data-1.0" ""}" ];
              };
              workloads.worker = { pkgs, ... }: { package = pkgs.web; };
            })
            roots
            ;
          # Less the hash.
          nameOf = name: builtins.substring 33 (-1) name;
          about = root: if builtins.isString root then "path" else root.meta.outputsToInstall;
          of = roots: map (name: [ (nameOf name) (about roots.${name}) ]) (builtins.attrNames roots);
          # By name, for the hashes differ between systems.
          sorted = builtins.sort (a: b: builtins.head a < builtins.head b);
        in
        builtins.mapAttrs (_: roots: sorted (of roots)) roots;
      expected = {
        x86_64-linux = [ [ "data-1_0" "path" ] [ "web" [ "out" ] ] ];
        aarch64-linux = [ [ "data-1_0" "path" ] [ "web" [ "out" ] ] ];
      };
    };

    an-environment-without-namespace-says-null = {
      actual = (environment { }).namespace;
      expected = null;
    };

    an-environment-may-have-no-workloads = {
      actual = (environment { }).workloads;
      expected = { };
    };

    a-workload-is-evaluated-once-for-each-system = {
      actual = builtins.mapAttrs (_: w: w.attributes.args) (environment {
        workloads.web = { system, ... }: { args = [ system ]; };
      }).workloads.web;
      expected = {
        x86_64-linux = [ "x86_64-linux" ];
        aarch64-linux = [ "aarch64-linux" ];
      };
    };

    a-workload-is-given-pkgs-system-name-and-namespace = {
      actual = (web {
        namespace = "shop";
        workloads.web = arguments: { env = arguments // { pkgs = builtins.attrNames arguments.pkgs; }; };
      }).attributes.env;
      expected = {
        name = "web";
        namespace = "shop";
        pkgs = [ "web" ];
        system = "x86_64-linux";
      };
    };

    a-workload-may-be-a-plain-set = {
      actual = (web { workloads.web.replicas = 2; }).attributes;
      expected = { replicas = 2; };
    };

    the-package-is-apart-from-the-attributes = {
      actual =
        let
          workload = web { workloads.web = { pkgs, ... }: { package = pkgs.web; replicas = 1; }; };
        in
        {
          inherit (workload) mainProgram attributes;
          package = workload.package == package "x86_64-linux" "web" { };
        };
      expected = {
        mainProgram = "web";
        attributes = { replicas = 1; };
        package = true;
      };
    };

    packages-of-containers-and-further-roots-are-apart-from-the-attributes = {
      actual =
        let
          workload = web {
            workloads.web = { pkgs, ... }: {
              package = pkgs.web;
              roots = { data = pkgs.web; gone = null; };
              containers.exporter = { package = pkgs.web // { bin.outPath = "/bin"; }; args = [ "x" ]; };
              containers.unset = null;
              initContainers.migrate = { args = [ ]; };
            };
          };
        in
        removeAttrs workload [ "package" "mainProgram" ]
        // {
          roots = builtins.attrNames workload.roots;
        };
      expected = {
        attributes = {
          containers = { exporter.args = [ "x" ]; unset = null; };
          initContainers.migrate.args = [ ];
        };
        programs = {
          containers = {
            exporter = { mainProgram = "web"; package.outPath = "/bin"; };
            unset = null;
          };
          initContainers.migrate = { mainProgram = null; package = null; };
        };
        roots = [ "data" "gone" ];
      };
    };

    what-is-no-set-of-containers-is-handed-on = {
      actual = (web { workloads.web = { containers = 5; initContainers.x = 6; }; }).attributes;
      expected = { containers = 5; initContainers.x = 6; };
    };

    containers-keep-the-positions-of-their-attributes = {
      actual = columnOf "args" (web { workloads.web.containers.x = { args = [ ]; }; }).attributes.containers.x;
      expected = 70;
    };

    defaults-are-for-the-kinds-that-have-them = {
      actual =
        let
          defaults = {
            replicas = 2;
            autoscaling = { maxReplicas = 3; };
            disruptionBudget = { maxUnavailable = 1; };
            strategy = { maxSurge = 1; };
            job = { backoffLimit = 1; };
            volumeClaims = { };
            args = [ ];
          };
          namesOf = workload: builtins.attrNames (web { inherit defaults; workloads.web = workload; }).attributes;
        in
        map namesOf [
          { }
          { kind = "StatefulSet"; }
          { kind = "DaemonSet"; }
          { kind = "CronJob"; }
          { kind = null; }
          # What a workload says itself is the renderer's to refuse.
          { kind = "Job"; replicas = 1; }
        ];
      expected = [
        [ "args" "autoscaling" "disruptionBudget" "replicas" "strategy" ]
        [ "args" "autoscaling" "disruptionBudget" "kind" "replicas" "volumeClaims" ]
        [ "args" "kind" ]
        [ "args" "job" "kind" ]
        [ "args" "autoscaling" "disruptionBudget" "kind" "replicas" "strategy" ]
        [ "args" "job" "kind" "replicas" ]
      ];
    };

    a-missing-package-is-null = {
      actual = web { };
      expected = {
        package = null;
        mainProgram = null;
        attributes = { };
      };
    };

    a-package-without-main-program-has-null = {
      actual = (web { workloads.web.package = package "x86_64-linux" "web" { meta = { }; }; }).mainProgram;
      expected = null;
    };

    a-package-may-be-a-store-path = {
      actual = web { workloads.web.package = "/nix/store/ddvn1h6sgb0i3hqvmvmpmm1ycqfs8cqd-web"; };
      expected = {
        package = "/nix/store/ddvn1h6sgb0i3hqvmvmpmm1ycqfs8cqd-web";
        mainProgram = null;
        attributes = { };
      };
    };

    programs-come-from-the-bin-output = {
      actual = (web { workloads.web.package = { outPath = "/dev"; bin.outPath = "/bin"; out.outPath = "/out"; }; }).package;
      expected = { outPath = "/bin"; };
    };

    without-a-bin-output-programs-come-from-out = {
      actual = (web { workloads.web.package = { outPath = "/dev"; out.outPath = "/out"; }; }).package;
      expected = { outPath = "/out"; };
    };

    an-output-that-the-user-chose-stays-chosen = {
      actual =
        (web { workloads.web.package = { outPath = "/dev"; outputSpecified = true; out.outPath = "/out"; }; })
        .package.outPath;
      expected = "/dev";
    };

    defaults-merge-below-each-workload = {
      actual = (web {
        defaults = { name, ... }: {
          env = { A = "default"; B = "default"; NAME = name; };
          args = [ "default" ];
          replicas = 3;
        };
        workloads.web = { env.B = "own"; args = [ ]; service = { }; };
      }).attributes;
      expected = {
        env = { A = "default"; B = "own"; NAME = "web"; };
        args = [ ];
        replicas = 3;
        service = { };
      };
    };

    defaults-may-name-the-package = {
      actual = (web { defaults = { pkgs, ... }: { package = pkgs.web; }; }).mainProgram;
      expected = "web";
    };

    merging-goes-as-deep-as-plain-sets-do = {
      actual = merge
        { a.b.c = 1; a.b.d = 2; a.e = 3; f = 4; g = { outPath = "/low"; x = 1; }; h = { }; }
        { a.b.d = 5; a.e = { }; f.x = 6; g = { outPath = "/high"; }; h = null; i = 7; };
      expected = {
        a = { b = { c = 1; d = 5; }; e = { }; };
        f.x = 6;
        g.outPath = "/high";
        h = null;
        i = 7;
      };
    };

    merging-forces-no-value-of-one-side = {
      actual = builtins.attrNames (merge { a = throw "forced"; } { b = throw "forced"; });
      expected = [ "a" "b" ];
    };

    attributes-keep-their-positions = {
      actual =
        let
          inherit
            (web {
              defaults = { env = { A = 1; }; replicas = 1; };
              workloads.web = { env = { B = 2; }; service = { }; replicas = 2; };
            })
            attributes
            ;
        in
        {
          service = columnOf "service" attributes;
          replicas = columnOf "replicas" attributes;
          A = columnOf "A" attributes.env;
          B = columnOf "B" attributes.env;
          merged = columnOf "env" attributes;
        };
      expected = {
        service = 51;
        replicas = 66;
        A = 36;
        B = 41;
        merged = null;
      };
    };

    modules-merge-sets-of-all-levels-and-the-nearest-value-counts = {
      actual = merged ofModules.merge [
        [ 2 { env = { A = "far"; B = "far"; }; args = [ "far" ]; replicas = 1; kind = "Job"; } ]
        [ 0 { env.B = "near"; args = [ "near" ]; replicas = 2; } ]
        [ 0 { args = [ "too" ]; kind = null; } ]
      ];
      expected = {
        env = { A = "far"; B = "near"; };
        args = [ "near" "too" ];
        replicas = 2;
        kind = null;
      };
    };

    modules-know-priorities-before-levels = {
      actual = merged ofModules.merge [
        [ 2 { a = mkOverride 50 "forced"; b = "far"; c = mkOverride 50 { x = 1; }; } ]
        [ 0 { a = "near"; b = mkOverride 1000 "default"; c.y = 2; } ]
      ];
      expected = { a = "forced"; b = "far"; c.x = 1; };
    };

    modules-know-conditions-merges-and-orders-at-every-depth = {
      actual = merged ofModules.merge [
        [ 0 (mkIf true { a.b = mkIf false 1; a.c = mkMerge [ (mkIf true 2) (mkIf false 3) ]; }) ]
        [ 0 (mkIf false { d = throw "not asked for"; }) ]
        [ 0 (mkMerge [ { list = mkOrder 1500 [ "last" ]; } { list = [ "first" (mkIf false "never") { x = mkIf false 1; } ]; } ]) ]
      ];
      expected = {
        a.c = 2;
        list = [ "first" { } "last" ];
      };
    };

    modules-stop-at-what-is-no-set = {
      actual = merged ofModules.merge [
        [ 3 { strategy.type = "Recreate"; resources.limits.cpu = "1"; } ]
        [ 2 { strategy = null; } ]
        [ 0 { strategy.maxSurge = 1; resources.limits = { memory = "1Gi"; }; } ]
      ];
      expected = {
        strategy.maxSurge = 1;
        resources.limits = { cpu = "1"; memory = "1Gi"; };
      };
    };

    modules-refuse-values-that-differ = {
      actual = map fails [
        (merged ofModules.merge [ [ 0 { a = 1; } ] [ 0 { a = 2; } ] ])
        (merged ofModules.merge [ [ 0 { a = 1; } ] [ 0 { a = { }; } ] ])
        (merged ofModules.merge [ [ 0 { a = 1; } ] [ 0 { a = 1; } ] ])
        (merged ofModules.merge [ [ 1 { a = 1; } ] [ 0 { a = 2; } ] ])
      ];
      expected = [ true true false false ];
    };

    modules-may-refer-to-what-they-define = {
      actual =
        let
          config = merged ofModules.mergeLazily [ [ 0 { env = { A = "a"; B = "${config.env.A}-b"; C = mkIf false "c"; }; } ] ];
        in
        config.env;
      expected = { A = "a"; B = "a-b"; C = null; };
    };

    objects-and-manifests-are-handed-on = {
      actual =
        let
          with' = environment { objects.ConfigMap.a = { }; manifests = [ ./manifests ]; };
        in
        {
          inherit (with') objects manifests;
          column = columnOf "objects" with' != null;
        };
      expected = {
        objects.ConfigMap.a = { };
        manifests = [
          { file = "manifests/a.yaml"; text = "kind: A\n"; }
          { file = "manifests/inner/b.json"; text = "{\"kind\": \"B\"}\n"; }
        ];
        column = true;
      };
    };

    versions-and-definitions-are-handed-on = {
      actual =
        let
          with' = environment { kubernetes = { version = "1.35"; definitions = [ ./manifests/a.yaml ]; }; };
          column = name: builtins.unsafeGetAttrPos name with'.kubernetes;
        in
        {
          inherit (with') kubernetes;
          places = [ (column "version" != null) (column "definitions") ];
          none = environment { } ? kubernetes;
        };
      expected = {
        kubernetes = {
          version = "1.35";
          definitions = [ { file = "a.yaml"; text = "kind: A\n"; } ];
        };
        places = [ true null ];
        none = false;
      };
    };

    pkgs-are-made-once-for-each-system = {
      # Two workloads, one `pkgs`: a function in it is equal only to itself.
      actual =
        let
          same = environment {
            pkgsFor = system: { f = x: x; };
            workloads.a = { pkgs, ... }: { args = [ pkgs ]; };
            workloads.b = { pkgs, ... }: { args = [ pkgs ]; };
          };
        in
        same.workloads.a.x86_64-linux.attributes.args == same.workloads.b.x86_64-linux.attributes.args;
      expected = true;
    };

    contexts-are-kept = {
      actual = builtins.length (
        builtins.attrNames (
          builtins.getContext
            (builtins.head
              (web { workloads.web = { pkgs, ... }: { args = [ "--with=${pkgs.web}" ]; }; }).attributes.args
            )
        )
      );
      expected = 1;
    };
  };

  failing = builtins.filter (name: tests.${name}.actual != tests.${name}.expected) (builtins.attrNames tests);
in
builtins.listToAttrs (
  map (name: {
    inherit name;
    value = tests.${name};
  }) failing
)
