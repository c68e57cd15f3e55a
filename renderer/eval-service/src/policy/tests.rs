use niphas_api::source::NiphasSourceSpec;
use nix_flake::{FlakeRef, ParseOptions};
use serde_json::{Value, json};

use super::{Policy, input_url};

const FILE: &str = "
workFolder: /var/lib/niphas-eval
limits:
  runs: 3
  time: 5m
namespaces:
- names: [shop]
  flakes: [https://git.example.org/shop/]
  inputs: [https://github.com/NixOS/nixpkgs]
  targets:
  - url: https://git.example.org/platform/gitops
    branches: [main]
    dir: clusters/shop
  caches: [https://cache.example.org]
  trustedPublicKeys: ['niphas-example-hello-demo-1:0PpW5D3Y+eZUTTzGjg+TVN7QIOAn3S6jmaslJKj+VnE=']
- names: ['*']
  flakes: [https://git.example.org/public/]
  targets: []
  caches: []
  trustedPublicKeys: []
";

fn spec(change: impl FnOnce(&mut Value)) -> NiphasSourceSpec {
    let mut value = json!({
        "flake": { "url": "https://git.example.org/shop/web", "branch": "main" },
        "target": {
            "url": "https://git.example.org/platform/gitops",
            "branch": "main",
            "dir": "clusters/shop/prod",
        },
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn refusal(namespace: &str, change: impl FnOnce(&mut Value)) -> String {
    let policy = Policy::parse(FILE).unwrap();
    policy
        .admits(namespace, &spec(change))
        .unwrap_err()
        .to_string()
}

#[test]
fn what_is_allowed_is_admitted() {
    let policy = Policy::parse(FILE).unwrap();
    assert_eq!(policy.limits.runs.get(), 3);
    let admitted = policy.admits("shop", &spec(|_| ())).unwrap();
    assert_eq!(admitted.caches, ["https://cache.example.org"]);
}

#[test]
fn what_is_not_allowed_is_refused_by_name() {
    let ask = "ask the administrator of niphas-eval to allow it in";
    assert_eq!(
        refusal("shop", |spec| spec["flake"]["url"] =
            json!("https://git.example.org/other/web")),
        format!(
            "the flake's repository 'https://git.example.org/other/web' is not allowed for the namespace 'shop'; {ask} 'flakes'"
        )
    );
    for (field, value) in [
        ("url", "https://git.example.org/platform/other"),
        ("branch", "production"),
        ("dir", "clusters/shopping"),
        ("dir", "clusters"),
    ] {
        let said = refusal("shop", |spec| spec["target"][field] = json!(value));
        assert!(
            said.contains(value) && said.ends_with("'targets'"),
            "{said}"
        );
    }
    let said = refusal("other", |_| ());
    assert!(said.contains("the flake's repository"), "{said}");
    let none = Policy::parse("{workFolder: /w, namespaces: []}").unwrap();
    let said = none.admits("shop", &spec(|_| ())).unwrap_err().to_string();
    assert_eq!(
        said,
        format!("a NiphasSource is not allowed for the namespace 'shop'; {ask} 'namespaces'")
    );
}

#[test]
fn mistakes_in_the_file_are_named() {
    for (from, to, said) in [
        (
            "workFolder: /var",
            "workFolder: var",
            "workFolder: expected an absolute path",
        ),
        ("runs: 3", "runs: 0", "runs"),
        ("runs: 3", "run: 3", "run"),
        ("time: 5m", "time: 0s", "limits: expected numbers above 0"),
        (
            "https://git.example.org/shop/",
            "http://git.example.org/",
            "expected https://HOST/FOLDER",
        ),
        (
            "https://cache.example.org",
            "cache.example.org",
            "namespaces[0].caches",
        ),
        (
            "niphas-example-hello-demo-1:",
            "bad ",
            "namespaces[0].trustedPublicKeys",
        ),
        ("['*']", "[]", "namespaces[1].names"),
    ] {
        assert!(FILE.contains(from), "{from}");
        let error = Policy::parse(&FILE.replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{to}: {error}");
    }
}

#[test]
fn inputs_are_named_by_where_they_are_fetched_from() {
    let url = |text: &str| {
        let reference = FlakeRef::parse(text, &ParseOptions::absolute()).unwrap();
        input_url(&reference.input)
    };
    let policy = Policy::parse(FILE).unwrap();
    let shop = policy.of_namespace("shop").unwrap();
    for (text, expected, is_allowed) in [
        (
            "github:NixOS/nixpkgs/nixos-unstable",
            "https://github.com/NixOS/nixpkgs",
            true,
        ),
        (
            "github:NixOS/nixpkgs?host=evil.org",
            "https://evil.org/NixOS/nixpkgs",
            false,
        ),
        (
            "github:evil/nixpkgs",
            "https://github.com/evil/nixpkgs",
            false,
        ),
        (
            "git+https://git.example.org/shop/lib?ref=main",
            "https://git.example.org/shop/lib",
            true,
        ),
        (
            "git+file:///srv/git/private",
            "file:///srv/git/private",
            false,
        ),
        (
            "https://evil.org/a.tar.gz",
            "https://evil.org/a.tar.gz",
            false,
        ),
    ] {
        let found = url(text).unwrap();
        assert!(found.starts_with(expected), "{text}: {found}");
        assert_eq!(shop.admits_input(&found), is_allowed, "{text}");
    }
    assert_eq!(url("path:/etc"), None);
}

const BUILDS: &str = "
builds:
  signingKeyFile: /etc/keys/signing.key
  folder: /var/lib/niphas-builds
  caches: [https://cache.example.org]
  trustedPublicKeys: ['niphas-example-hello-demo-1:0PpW5D3Y+eZUTTzGjg+TVN7QIOAn3S6jmaslJKj+VnE=']
  jobs:
    namespace: niphas-builds
    image: registry.example.org/niphas-eval:1
    service: http://niphas-eval-cache.niphas-system.svc
    serviceAccount: niphas-build
    audience: niphas-eval
    seccompProfile: niphas/niphas-build.json
  policy: {resources: {memory: 4Gi}}
";

#[test]
fn nothing_is_built_until_the_file_says_so_twice() {
    let policy = Policy::parse(FILE).unwrap();
    assert!(policy.builds.is_none());
    assert!(policy.namespaces.iter().all(|namespace| !namespace.builds));

    let allowed = FILE.replacen("- names: [shop]", "- names: [shop]\n  builds: true", 1);
    let error = Policy::parse(&allowed).unwrap_err().to_string();
    assert!(error.contains("namespaces[0].builds"), "{error}");

    let policy = Policy::parse(&format!("{BUILDS}{allowed}")).unwrap();
    assert!(policy.of_namespace("shop").unwrap().builds);
    assert!(!policy.of_namespace("other").unwrap().builds);
    assert_eq!(policy.builds.unwrap().limits.jobs.get(), 20);

    let twice = allowed.replacen("builds: true", "builds: true\n  requiredSignatures: 2", 1);
    let error = Policy::parse(&format!("{BUILDS}{twice}")).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("namespaces[0].requiredSignatures"),
        "{error}"
    );
}

#[test]
fn settings_of_builds_that_make_no_sense_are_refused_by_name() {
    for (from, to, field) in [
        (
            "/etc/keys/signing.key",
            "signing.key",
            "builds.signingKeyFile",
        ),
        ("/var/lib/niphas-builds", "cache", "builds.folder"),
        ("https://cache.example.org", "nonsense://", "builds.caches"),
        ("demo-1:0PpW5D3Y", "demo-1:", "builds.trustedPublicKeys"),
        (
            "http://niphas-eval-cache",
            "ftp://cache",
            "builds.jobs.service",
        ),
        ("4Gi", "much", "much"),
        ("audience:", "audiences:", "audience"),
    ] {
        let wrong = format!("{}{FILE}", BUILDS.replacen(from, to, 1));
        let error = Policy::parse(&wrong).unwrap_err().to_string();
        assert!(error.contains(field), "{field}: {error}");
    }
}
