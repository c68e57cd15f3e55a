//! Whole environments: from what they evaluated to, to files or problems.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use niphas_api::{ClosureLine, ClosureLines};
use niphas_render::{
    CheckedEnvironment, ClosureId, Element, Evaluated, Form, Lock, Problems, check,
};
use nix_formats::StorePath;
use serde_json::{Value, json};

const WEB_X86: &str = "/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";
const WEB_ARM: &str = "/nix/store/1v2fmd1qpd7yk27kg1cfjbr7bnbiyqpw-web-1.0";
const DATA: &str = "/nix/store/9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-data";

/// `nixlib` would evaluate to this; both systems have the same attributes.
fn environment(attributes: &Value) -> Value {
    let workload = |package: &str| json!({ "package": package, "mainProgram": "web", "attributes": attributes });
    json!({
        "_type": "niphas-environment",
        "version": 1,
        "namespace": "shop",
        "systems": ["x86_64-linux", "aarch64-linux"],
        "workloads": {
            "web": { "x86_64-linux": workload(WEB_X86), "aarch64-linux": workload(WEB_ARM) },
        },
    })
}

/// Positions as an evaluator gives them: one line for each attribute, in the order of their names.
fn check_value(value: &Value) -> Result<CheckedEnvironment, Problems> {
    let references = |_: &str, system: &str| {
        let package = if system == "x86_64-linux" {
            WEB_X86
        } else {
            WEB_ARM
        };
        vec![DATA.to_owned(), package.to_owned()]
    };
    let position = |path: &[Element]| {
        let mut value = value;
        let mut column = 1;
        for element in path {
            let name = match element {
                Element::Attribute(name) => name,
                // Elements of lists have no positions; what is in them does.
                Element::Index(index) => {
                    value = value.get(index)?;
                    continue;
                }
            };
            let fields = value.as_object()?;
            // Both systems' attributes are written in one place.
            if !name.ends_with("-linux") {
                column += fields.keys().position(|key| key == name)?;
            }
            value = &fields[name];
        }
        let is_attribute = matches!(path.last(), Some(Element::Attribute(_)));
        is_attribute.then(|| format!("flake.nix:{}:{column}", path.len()))
    };
    check(&Evaluated {
        keeps_rules: &|_| false,
        name: "production",
        value,
        references: &references,
        position: &position,
    })
}

fn problems(value: &Value) -> String {
    check_value(value).unwrap_err().to_string()
}

fn closures(environment: &CheckedEnvironment) -> BTreeMap<ClosureId, ClosureLines> {
    let line = |path: &StorePath| ClosureLine {
        path: path.clone(),
        nar_hash: [1; 32].into(),
        nar_size: 100,
    };
    environment
        .closures()
        .map(|(id, roots)| {
            (
                id,
                ClosureLines::new(roots.iter().map(line).collect()).unwrap(),
            )
        })
        .collect()
}

fn rendered(value: &Value) -> BTreeMap<String, Vec<u8>> {
    let environment = check_value(value).unwrap();
    let folder = "deploy".parse().unwrap();
    let rendered = environment
        .render(&folder, &Form::Workloads, &closures(&environment))
        .unwrap();
    let mut files = rendered.files.clone();
    files.insert(
        ".niphas/production.lock".into(),
        Lock::of(&rendered.files).to_bytes(),
    );
    files
}

fn listing(files: &BTreeMap<String, Vec<u8>>) -> String {
    files.iter().fold(String::new(), |mut text, (path, bytes)| {
        write!(text, "=== {path}\n{}", str::from_utf8(bytes).unwrap()).unwrap();
        text
    })
}

#[test]
fn whole_workload_is_rendered() {
    let files = rendered(&environment(&json!({
        "args": ["--data", format!("{DATA}/x")],
        "env": {
            "LOG_LEVEL": "info",
            "NO": "off",
            "TOKEN": { "valueFrom": { "secretKeyRef": { "name": "web", "key": "token" } } },
        },
        "files": { "/etc/web.conf": "listen = 8080\nworkers = 2\n" },
        "podTemplate": { "spec": { "nodeSelector": { "disk": "ssd" } } },
        "ports": { "http": 8080, "metrics": { "port": 9090 } },
        "probes": { "readiness": { "httpGet": { "path": "/", "port": "http" } } },
        "replicas": 3,
        "resources": { "requests": { "cpu": 1, "memory": "64Mi" } },
        "service": { "ports": { "http": 80 } },
    })));
    insta::assert_snapshot!("whole_workload", listing(&files));
}

#[test]
fn smallest_workload_gets_the_defaults() {
    insta::assert_snapshot!(
        "smallest_workload",
        listing(&rendered(&environment(&json!({}))))
    );
}

#[test]
fn same_input_gives_the_same_bytes() {
    let value = environment(&json!({ "env": { "B": "1", "A": "2" }, "replicas": 2 }));
    assert_eq!(rendered(&value), rendered(&value));
}

#[test]
fn command_in_the_package_becomes_the_root_of_the_view() {
    let mut value = environment(&json!({}));
    for (system, package) in [("x86_64-linux", WEB_X86), ("aarch64-linux", WEB_ARM)] {
        value["workloads"]["web"][system]["attributes"] = json!({
            "command": format!("{package}/bin/serve"),
            "env": { "SHARE": format!("{package}/share") },
        });
    }
    let files = rendered(&value);
    let yaml = &files["deploy/production/web/NiphasWorkload-web.yaml"];
    let yaml = str::from_utf8(yaml).unwrap();
    assert!(
        yaml.contains("command:\n  - /nix/root/bin/serve\n"),
        "{yaml}"
    );
    assert!(
        yaml.contains("SHARE:\n      value: /nix/root/share\n"),
        "{yaml}"
    );
}

#[test]
fn environment_without_workloads_has_no_files() {
    let mut value = environment(&json!({}));
    value["workloads"] = json!({});
    let environment = check_value(&value).unwrap();
    let rendered = environment
        .render(&".".parse().unwrap(), &Form::Workloads, &BTreeMap::new())
        .unwrap();
    assert_eq!(rendered.files, BTreeMap::new());
}

#[test]
fn wrong_attributes_are_reported_with_place_and_hint() {
    insta::assert_snapshot!(problems(&environment(&json!({
        "replica": 3,
        "replicas": "3",
        "env": { "PORT": 8080 },
        "service": { "ports": { "htp": 80 } },
        "ports": { "http": 8080 },
        "args": ["--x", 1],
        "probes": { "liveness": { "httpGet": { "path": "/" } } },
    }))), @r#"
    workloads.web.args[1]: expected a string, found the integer 1
      at flake.nix:5:5
      hint: write it as a string: "1"
    workloads.web.env.PORT: expected a string or a set, found the integer 8080
      at flake.nix:6:6
      hint: write it as a string: "8080"
    workloads.web.probes.liveness.httpGet: attribute 'port' is missing
      at flake.nix:7:8
      hint: write its port
    workloads.web.replica: unknown attribute
      at flake.nix:5:9
      hint: did you mean 'replicas'?
    workloads.web.replicas: expected an integer, found the string "3"
      at flake.nix:5:10
      hint: write it without quotes: 3
    workloads.web.service.ports: the service names the port "htp", which is not among the ports
      at flake.nix:6:11
      hint: did you mean 'http'?
    "#);
}

#[test]
fn differences_between_systems_are_reported_with_a_hint() {
    let mut value = environment(&json!({}));
    let on = |library: &str, replicas: i32| json!({ "args": ["--plugins", format!("/nix/store/{library}-plugins")], "replicas": replicas });
    let arm = &mut value["workloads"]["web"]["aarch64-linux"];
    arm["attributes"] = on("9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr", 1);
    arm["mainProgram"] = json!("web-arm");
    value["workloads"]["web"]["x86_64-linux"]["attributes"] =
        on("0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h", 2);
    insta::assert_snapshot!(problems(&value), @r#"
    workloads.web.args[1]: differs between systems: the string "/nix/store/9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-plugins" on aarch64-linux, the string "/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-plugins" on x86_64-linux
      at flake.nix:5:5
      hint: one pod template serves all systems: let the package refer to this path itself, for example with a wrapper program that passes it on
    workloads.web.command[0]: differs between systems: the string "/nix/root/bin/web-arm" on aarch64-linux, the string "/nix/root/bin/web" on x86_64-linux
      at flake.nix:2:5
      hint: one pod template serves all systems: only the package may depend on the system
    workloads.web.replicas: differs between systems: the integer 1 on aarch64-linux, the integer 2 on x86_64-linux
      at flake.nix:5:6
      hint: one pod template serves all systems: only the package may depend on the system
    "#);
}

#[test]
fn workloads_without_a_program_are_reported() {
    let mut value = environment(&json!({}));
    let workload = |package: Value, main_program: Value| json!({ "package": package, "mainProgram": main_program, "attributes": {} });
    value["systems"] = json!(["x86_64-linux"]);
    value["workloads"] = json!({
        "a": { "x86_64-linux": workload(json!(null), json!(null)) },
        "b": { "x86_64-linux": workload(json!(WEB_X86), json!(null)) },
        "c": { "x86_64-linux": workload(json!("/bin/sh"), json!("sh")) },
        "d": { "x86_64-linux": workload(json!({ "x": 1 }), json!("sh")) },
        "e": {},
    });
    insta::assert_snapshot!(problems(&value), @r#"
    workloads.a: no package
      at flake.nix:2:5
      hint: set 'package' to the derivation whose program is to run
    workloads.b: no command, and package 'web-1.0' has no meta.mainProgram
      at flake.nix:2:6
      hint: set 'command', like "${package}/bin/…", or the package's meta.mainProgram
    workloads.c.package: the string "/bin/sh" is not a store path of /nix/store
      at flake.nix:2:7
      hint: expected a derivation, or a string like "${derivation}"
    workloads.d.package: a set is not a store path of /nix/store
      at flake.nix:2:8
      hint: expected a derivation, or a string like "${derivation}"
    workloads.e: attribute 'x86_64-linux' is missing
      at flake.nix:2:9
      hint: write its x86_64-linux
    "#);
}

#[test]
fn names_that_objects_or_gitops_tools_cannot_have_are_reported() {
    let mut value = environment(&json!({}));
    let web = value["workloads"]["web"].clone();
    value["workloads"] = json!({ "Web": web, "templates": web, "-a": web, "../b": web });
    value["namespace"] = json!("My Shop");
    insta::assert_snapshot!(problems(&value), @r#"
    namespace: "My Shop" cannot be the name of a namespace: expected at most 63 lower-case letters, digits and '-', the latter not at its ends
      at flake.nix:1:2
    workloads."-a": "-a" cannot be the name of a workload: expected at most 63 lower-case letters, digits and '-', the latter not at its ends
      at flake.nix:2:5
    workloads."../b": "../b" cannot be the name of a workload: expected at most 63 lower-case letters, digits and '-', the latter not at its ends
      at flake.nix:2:6
    workloads.Web: "Web" cannot be the name of a workload: expected at most 63 lower-case letters, digits and '-', the latter not at its ends
      at flake.nix:2:7
    workloads.templates: "templates" cannot be the name of a workload: Fleet reads a folder of this name as Helm templates
      at flake.nix:2:8
    "#);
}

#[test]
fn what_is_no_environment_is_refused() {
    let mut other_version = environment(&json!({}));
    other_version["version"] = json!(2);
    let mut no_systems = environment(&json!({}));
    no_systems["systems"] = json!([]);
    let mut bad_systems = environment(&json!({}));
    bad_systems["systems"] = json!(["linux", 1]);
    let mut bad_workloads = environment(&json!({}));
    bad_workloads["workloads"] = json!([1]);
    let values = [
        json!({}),
        json!("x"),
        other_version,
        no_systems,
        bad_systems,
        bad_workloads,
    ];
    let texts: Vec<_> = values.iter().map(problems).collect();
    insta::assert_snapshot!(texts.join("\n---\n"), @r#"
    not an environment: it is an empty set
      hint: make it with niphas.lib.mkEnvironment, of the same version as this program
    ---
    not an environment: it is the string "x"
      hint: make it with niphas.lib.mkEnvironment, of the same version as this program
    ---
    not an environment: its version is the integer 2, expected 1
      hint: make it with niphas.lib.mkEnvironment, of the same version as this program
    ---
    systems: expected a list of at least one system, found an empty list
      at flake.nix:1:3
    ---
    systems[0]: the string "linux": expected a system of Linux that Kubernetes knows, like "x86_64-linux"
      at flake.nix:1:3
    systems[1]: expected a system of Linux that Kubernetes knows, like "x86_64-linux", found the integer 1
      at flake.nix:1:3
    ---
    workloads: expected a set, found a list
      at flake.nix:1:5
    "#);
}

#[test]
fn what_cannot_be_applied_is_reported_before_it_is_written() {
    let large = environment(&json!({ "files": { "/etc/large": "x".repeat(300_000) } }));
    let environment = check_value(&large).unwrap();
    let folder = "deploy".parse().unwrap();
    let error = environment
        .render(&folder, &Form::Workloads, &closures(&environment))
        .unwrap_err();
    insta::assert_snapshot!(error, @r"
    workloads.web: the object takes 301531 bytes, more than the 262144 that can be applied
      at flake.nix:2:5
      hint: put large files into the package instead of 'files'
    ");
    let error = environment
        .render(&folder, &Form::Workloads, &BTreeMap::new())
        .unwrap_err();
    insta::assert_snapshot!(error, @r"
    workloads.web: its closure for aarch64-linux is not resolved
      at flake.nix:2:5
    workloads.web: its closure for x86_64-linux is not resolved
      at flake.nix:2:5
    workloads.web: the object takes 301027 bytes, more than the 262144 that can be applied
      at flake.nix:2:5
      hint: put large files into the package instead of 'files'
    ");
}

#[test]
fn deploy_folders_lie_in_the_repository() {
    use niphas_render::DeployFolder;
    for good in [".", "deploy", "./deploy/", "a/b"] {
        good.parse::<DeployFolder>().unwrap();
    }
    for bad in [
        "", "/", "/etc", "..", "a/../b", ".git", ".niphas", "a//b", "./",
    ] {
        bad.parse::<DeployFolder>().unwrap_err();
    }
}

/// The object in a rendered file.
fn object(files: &BTreeMap<String, Vec<u8>>, file: &str) -> Value {
    let path = format!("deploy/production/web/{file}.yaml");
    let text = str::from_utf8(&files[&path]).unwrap();
    serde_saphyr::from_str(text).unwrap()
}

/// Gives a set the fields of another.
fn merge(set: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        unreachable!()
    };
    set.as_object_mut().unwrap().extend(more);
}

#[test]
fn several_pods_are_kept_available_unless_the_workload_says_otherwise() {
    let spec = |attributes: Value| {
        let mut spec =
            object(&rendered(&environment(&attributes)), "NiphasWorkload-web")["spec"].clone();
        assert_eq!(spec["highAvailability"], Value::Null);
        let pod = spec["podTemplate"]["spec"].take();
        let budget = spec["disruptionBudget"].take();
        (pod, budget)
    };
    let toleration = |condition: &str| json!({ "key": format!("node.kubernetes.io/{condition}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30 });
    let tolerations = json!([toleration("not-ready"), toleration("unreachable")]);
    let others = |topology: &str, more: Value| {
        let mut others = json!({
            "topologyKey": topology,
            "labelSelector": { "matchLabels": { "niphas.io/workload": "web" } },
        });
        merge(&mut others, more);
        others
    };
    // A node without zone would make a constraint for zones count for nothing, and with it the one for nodes.
    let placed = |more: Value| {
        let mut nodes = others("kubernetes.io/hostname", more.clone());
        merge(
            &mut nodes,
            json!({ "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway" }),
        );
        let zones = others("topology.kubernetes.io/zone", more);
        json!({
            "tolerations": tolerations,
            "topologySpreadConstraints": [nodes],
            "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
                { "weight": 100, "podAffinityTerm": zones },
            ] } },
        })
    };
    let one = json!({ "maxUnavailable": 1 });

    let several = placed(json!({ "matchLabelKeys": ["pod-template-hash"] }));
    // So that no pod restarts where a second one is asked for.
    assert_eq!(spec(json!({})), (several.clone(), Value::Null));
    assert_eq!(
        spec(json!({ "replicas": 2 })),
        (several.clone(), one.clone())
    );
    let scaled = json!({
        "autoscaling": { "minReplicas": 2, "maxReplicas": 3, "cpu": 80 },
        "resources": { "requests": { "cpu": "1" } },
    });
    assert_eq!(spec(scaled), (several, one.clone()));
    let stateful = placed(json!({}));
    assert_eq!(
        spec(json!({ "kind": "StatefulSet", "replicas": 3 })),
        (stateful, one)
    );

    let nothing = (Value::Null, Value::Null);
    assert_eq!(
        spec(json!({ "replicas": 2, "highAvailability": false })),
        nothing
    );
    assert_eq!(spec(json!({ "kind": "DaemonSet" })), nothing);
    assert_eq!(spec(json!({ "kind": "Job" })), nothing);

    let own = json!({ "affinity": {}, "tolerations": [], "topologySpreadConstraints": [], "nodeSelector": { "disk": "ssd" } });
    let budget = json!({ "minAvailable": "50%" });
    let attributes =
        json!({ "replicas": 2, "podTemplate": { "spec": own }, "disruptionBudget": budget });
    assert_eq!(spec(attributes), (own, budget));
}

#[test]
fn routes_are_written_with_the_defaults_of_their_definitions() {
    let files = rendered(&environment(&json!({
        "ports": { "http": 80 },
        "service": {},
        "ingress": { "hosts": { "a": {}, "b": { "backends": { "/x": {} } }, "c": { "paths": ["/c"] } } },
        "httpRoute": { "parentRefs": [{ "name": "public" }] },
        "httpRoutes": { "more": { "parentRefs": [{ "name": "public" }], "rules": [
            {},
            {
                "matches": [{ "method": "GET", "headers": [{ "name": "a", "value": "b" }] }],
                "filters": [{ "type": "RequestRedirect", "requestRedirect": {} }],
            },
        ] } },
        "grpcRoute": { "parentRefs": [{ "name": "public" }], "rules": [
            { "matches": [{ "method": { "service": "shop.Search" } }], "backendRefs": [{ "name": "other", "port": 1 }] },
        ] },
    })));
    let spec = &object(&files, "NiphasWorkload-web")["spec"];
    assert_eq!(
        spec["ingress"]["hosts"],
        json!({ "a": { "paths": ["/"] }, "b": { "backends": { "/x": {} } }, "c": { "paths": ["/c"] } })
    );
    assert_eq!(spec["httpRoute"]["paths"], json!(["/"]));
    let path = json!({ "type": "PathPrefix", "value": "/" });
    assert_eq!(
        spec["httpRoutes"]["more"],
        json!({ "parentRefs": [{ "name": "public" }], "rules": [
            { "matches": [{ "path": path }] },
            {
                "matches": [{ "path": path, "method": "GET", "headers": [{ "name": "a", "value": "b", "type": "Exact" }] }],
                "filters": [{ "type": "RequestRedirect", "requestRedirect": { "statusCode": 302 } }],
            },
        ] })
    );
    assert_eq!(
        spec["grpcRoute"]["rules"],
        json!([{
            "matches": [{ "method": { "service": "shop.Search", "type": "Exact" } }],
            "backendRefs": [{ "name": "other", "port": 1, "group": "", "kind": "Service", "weight": 1 }],
        }])
    );
}

#[test]
fn what_the_operator_does_not_make_is_committed_beside_the_workload() {
    let files = rendered(&environment(&json!({
        "namespace": "tools",
        "labels": { "team": "shop" },
        "annotations": { "example.org/wave": "2" },
        "serviceAccount": { "name": "shop" },
        "role": { "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }] },
        "volumeClaims": { "data": { "mountPath": "/data", "storage": "1Gi", "annotations": { "helm.sh/resource-policy": "delete" } } },
    })));
    let workload = object(&files, "NiphasWorkload-web");
    assert_eq!(
        workload["metadata"],
        json!({
            "name": "web",
            "namespace": "tools",
            "labels": { "team": "shop" },
            "annotations": { "example.org/wave": "2", "niphas.io/environment": "production" },
        })
    );
    for attribute in ["namespace", "role"] {
        assert_eq!(workload["spec"][attribute], Value::Null);
    }
    let claim = object(&files, "PersistentVolumeClaim-web-data");
    assert_eq!(
        claim["metadata"]["annotations"],
        json!({
            "argocd.argoproj.io/sync-options": "Delete=false,Prune=false",
            "example.org/wave": "2",
            "helm.sh/resource-policy": "delete",
            "kustomize.toolkit.fluxcd.io/prune": "disabled",
            "niphas.io/environment": "production",
        })
    );
    let role = object(&files, "Role-web");
    assert_eq!(role["metadata"]["namespace"], "tools");
    assert_eq!(
        role["rules"],
        json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }])
    );
    let binding = object(&files, "RoleBinding-web");
    assert_eq!(
        binding["subjects"],
        json!([{ "kind": "ServiceAccount", "name": "shop", "namespace": "tools" }])
    );
    assert_eq!(binding["roleRef"]["name"], "web");
}

#[test]
fn what_further_objects_cannot_be_has_a_place() {
    let mut value = environment(&json!({
        "ports": { "http": 80 },
        "service": { "name": "api", "portNames": ["htp"], "nodePorts": { "metrics": 30000 } },
        "services": { "more": { "ports": { "web": 80 } } },
        "ingresses": { "more": { "hosts": { "a": { "backends": { "x": {} } } } } },
        "httpRoute": { "parentRefs": [{ "name": "a" }], "rules": [
            { "filters": [{ "type": "RequestRedirct" }], "timeout": {} },
            { "matches": [{ "path": { "value": "x" } }] },
        ] },
        "role": { "rules": [] },
    }));
    let web = value["workloads"]["web"].clone();
    let mut other = web.clone();
    for system in ["x86_64-linux", "aarch64-linux"] {
        other[system]["attributes"] =
            json!({ "ports": { "http": 80 }, "service": { "name": "api" } });
    }
    value["workloads"]["api-2"] = other;
    insta::assert_snapshot!(problems(&value), @r#"
    workloads.web: the Service "api" is the workload "api-2"'s, too
      at flake.nix:2:6
      hint: give one of the two workloads another name
    workloads.web.httpRoute.rules[0].filters[0].type: the string "RequestRedirct": expected one of RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, RequestRedirect, URLRewrite, ExtensionRef, CORS
      at flake.nix:10:7
      hint: did you mean 'RequestRedirect'?
    workloads.web.httpRoute.rules[0].timeout: unknown attribute
      at flake.nix:8:8
      hint: did you mean 'timeouts'?
    workloads.web.httpRoute.rules[1].matches[0].path: value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']
      at flake.nix:10:7
    workloads.web.ingresses.more.hosts.a.backends.x: the path "x" does not begin with '/'
      at flake.nix:10:7
      hint: write a path from the host's root
    workloads.web.role: a role is for a ServiceAccount, and the workload has none
      at flake.nix:2:6
      hint: write serviceAccount = { mountToken = true; }
    workloads.web.service.nodePorts: nodePorts are for the types NodePort and LoadBalancer
      at flake.nix:6:11
      hint: write type = "NodePort", too, or take them away
    workloads.web.service.nodePorts: no program of the workload has a port "metrics"
      at flake.nix:6:11
      hint: write one of http
    workloads.web.service.portNames: no program of the workload has a port "htp"
      at flake.nix:6:12
      hint: did you mean 'http'?
    workloads.web.services.more.ports: no program of the workload has a port "web"
      at flake.nix:7:11
      hint: write one of http
    "#);
}
