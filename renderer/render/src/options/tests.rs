use serde_json::json;

use super::*;
use crate::attribute_path::AttributePath;
use crate::schema::Checker;

fn find<'o>(options: &'o [EnvironmentOption], path: &str) -> &'o EnvironmentOption {
    let found = options.iter().find(|option| option.path == path);
    found.unwrap_or_else(|| panic!("no option {path}"))
}

#[test]
fn options_say_what_they_may_be() {
    let all = options(false);
    let of = |path: &str| {
        let option = find(&all, &format!("workloads.<name>.{path}"));
        let default = option.default.clone().unwrap_or_default();
        (option.kind.clone(), default)
    };
    let text = |kind: &str, default: &str| (kind.to_owned(), default.to_owned());
    assert_eq!(of("replicas"), text("integer, 0 or more", "1"));
    assert_eq!(of("kind").1, "\"Deployment\"");
    assert_eq!(
        of("service.type"),
        text("one of ClusterIP, NodePort, LoadBalancer", "\"ClusterIP\"")
    );
    assert_eq!(of("ports.<name>"), text("integer, 1 to 65535, or set", ""));
    assert_eq!(of("args"), text("list of strings", ""));
    assert_eq!(of("resources.limits"), text("set of quantities", ""));
    assert_eq!(of("httpRoute.rules.*.timeouts.request"), text("string", ""));
    assert_eq!(of("podTemplate.spec.tolerations.*.key"), text("string", ""));
    assert!(find(&all, "workloads.<name>.volumeClaims.<name>.mountPath").required);
}

#[test]
fn every_option_is_described() {
    let bare: Vec<String> = options(false)
        .into_iter()
        .filter(|option| {
            option.description.is_empty() && !option.path.trim_end_matches('"').ends_with('>')
        })
        .map(|option| option.path)
        // Of which the Gateway API says nothing.
        .filter(|path| !path.contains(".fraction."))
        .collect();
    assert_eq!(bare, Vec::<String>::new());
}

/// Each example is of an option that there is, and fits its type.
#[test]
fn examples_fit() {
    let all = options(false);
    let schema = workload_schema(object_schema());
    let examples: Map<String, Value> = serde_json::from_str(EXAMPLES).unwrap();
    for (path, example) in examples {
        find(&all, &format!("workloads.<name>.{path}"));
        let mut inner = &schema;
        for segment in segments(&path) {
            inner = resolved(inner);
            inner = match inner["properties"].get(segment) {
                Some(inner) => inner,
                None => &inner["additionalProperties"],
            };
        }
        let locate = |_: &AttributePath| None;
        let mut checker = Checker::new(&locate);
        checker.check(&AttributePath::default(), inner, &example);
        assert_eq!(checker.problems, [], "{path}");
    }
}

#[test]
fn options_of_the_environment_are_those_of_nixlib() {
    let text = include_str!("../../../../nixlib/modules/environment.nix");
    for path in head::paths() {
        let name = path
            .split('.')
            .rfind(|name| !name.starts_with('<'))
            .unwrap();
        let defined = [format!(" {name} = mkOption"), format!(" {name};")];
        assert!(defined.iter().any(|words| text.contains(words)), "{path}");
    }
    let known: Vec<&str> = head::paths().collect();
    for line in text.lines().filter(|line| line.ends_with(" = mkOption {")) {
        let name = line.trim().trim_end_matches(" = mkOption {");
        let is_known = known
            .iter()
            .any(|path| path.split('.').any(|part| part == name));
        assert!(is_known || name.starts_with("positions "), "{name}");
    }
}

#[test]
fn a_path_finds_what_it_names() {
    let all = options(false);
    let paths = |path: &str| -> Vec<String> {
        let found = below(&all, path).into_iter();
        found.map(|option| option.path.clone()).collect()
    };
    assert_eq!(
        paths("env.LOG_LEVEL.value"),
        ["workloads.<name>.env.<NAME>.value"]
    );
    assert_eq!(
        paths("files.\"/etc/a.conf\".mode"),
        ["workloads.<name>.files.\"<path>\".mode"]
    );
    assert_eq!(
        paths("workloads.web.replicas"),
        ["workloads.<name>.replicas"]
    );
    assert_eq!(
        paths("namespace"),
        ["namespace", "workloads.<name>.namespace"]
    );
    assert_eq!(paths("servce"), Vec::<String>::new());
    assert_eq!(meant(&all, "servce").as_deref(), Some("service"));
}

#[test]
fn values_are_written_as_nix() {
    let value = json!({ "a": [1, true, "x${y}\n"], "b.c": {}, "d": [], "e": { "-f": null } });
    assert_eq!(
        nix(&value),
        "{ a = [ 1 true \"x\\${y}\\n\" ]; \"b.c\" = { }; d = [ ]; e = { \"-f\" = null; }; }"
    );
}
