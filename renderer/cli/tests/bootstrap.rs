//! `niphas bootstrap`: the whole objects, and what is refused.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::process::{Command, Output};

fn bootstrap(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_niphas"));
    command.env_clear().env("NO_COLOR", "1");
    command.arg("bootstrap").args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = bootstrap(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(arguments: &[&str]) -> String {
    let output = bootstrap(arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.lines().next().unwrap_or_default().to_owned()
}

const HTTPS: &str = "https://git.example.org/shop/GitOps_repo.git";
const SSH: &str = "git@git.example.org:shop/deploy";

#[test]
fn argocd_gets_applications_and_a_health_check() {
    insta::assert_snapshot!(printed(&[
        "argocd",
        HTTPS,
        "-e",
        "staging",
        "-e",
        "production"
    ]));
}

#[test]
fn argocd_can_deliver_to_another_cluster_and_namespace() {
    let text = printed(&[
        "argocd",
        SSH,
        "--environment=production",
        "--branch=live",
        "--dir=.",
        "--namespace=shop",
        "--cluster=https://203.0.113.7:6443",
        "--controller-namespace=gitops",
        "--name=shop",
    ]);
    let (_, application) = text.split_once("---\n").unwrap();
    insta::assert_snapshot!(application);
}

#[test]
fn flux_gets_a_source_and_kustomizations() {
    insta::assert_snapshot!(printed(&[
        "flux",
        SSH,
        "-e",
        "staging",
        "-e",
        "production",
        "--namespace=shop",
        "--secret=key"
    ]));
}

#[test]
fn fleet_gets_a_repository_for_each_environment() {
    insta::assert_snapshot!(printed(&[
        "fleet",
        HTTPS,
        "-e",
        "staging",
        "-e",
        "production"
    ]));
}

#[test]
fn fleet_can_deliver_to_clusters_with_labels() {
    insta::assert_snapshot!(printed(&[
        "fleet",
        HTTPS,
        "-e",
        "production",
        "--cluster-label=env=production",
        "--cluster-label=region=eu",
        "--namespace=shop",
        "--secret=token",
    ]));
}

#[test]
fn what_a_controller_could_not_use_is_refused() {
    let all = [
        refusal(&["argocd", "../gitops", "-e", "production"]),
        refusal(&["flux", "git://git.example.org/x", "-e", "a"]),
        refusal(&["fleet", HTTPS, "-e", "templates"]),
        refusal(&["argocd", HTTPS, "-e", "a", "--dir", ".niphas"]),
        refusal(&["argocd", HTTPS, "-e", "a", "--namespace", "Shop"]),
        refusal(&["fleet", HTTPS, "-e", "a", "--cluster-label", "production"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
