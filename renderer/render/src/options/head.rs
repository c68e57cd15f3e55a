//! Options that the schema of workloads does not have: those of the environment, and what nixlib and the renderer read.

use super::EnvironmentOption;

/// Of an environment: path, type, default, example and description. Those of `nixlib/modules/environment.nix`, where a test looks.
const ENVIRONMENT: [(&str, &str, &str, &str, &str); 12] = [
    (
        "defaults",
        "workload, or function to one",
        "{ }",
        "{ env.LOG_LEVEL = \"info\"; }",
        "Attributes below those of every workload, and of its group.",
    ),
    (
        "groups.<name>",
        "set",
        "",
        "",
        "Workloads that share defaults; of environments that are written as modules. The names of groups are in no object.",
    ),
    (
        "groups.<name>.defaults",
        "workload, or function to one",
        "{ }",
        "{ labels.team = \"shop\"; }",
        "Attributes below those of each workload of the group, above those of the environment.",
    ),
    (
        "groups.<name>.workloads",
        "set of workloads",
        "{ }",
        "",
        "The workloads of the group by name.",
    ),
    (
        "kubernetes.definitions",
        "list of paths",
        "[ ]",
        "[ ./crds ]",
        "YAML files with the CustomResourceDefinitions of kinds that the cluster has, and folders with such: objects are checked against them, and they are not committed.",
    ),
    (
        "kubernetes.version",
        "one of 1.31, 1.32, 1.33, 1.34, 1.35, 1.36, 1.37",
        "\"1.33\"",
        "\"1.35\"",
        "The version of Kubernetes whose types objects are checked against; the oldest of several clusters.",
    ),
    (
        "manifests",
        "list of paths",
        "[ ]",
        "[ ./manifests ]",
        "YAML and JSON files with objects, and folders with such.",
    ),
    (
        "namespace",
        "string",
        "null",
        "\"shop\"",
        "The namespace of every object; with null the objects name none.",
    ),
    (
        "objects",
        "list of objects, or set by kind and name",
        "[ ]",
        "{ ConfigMap.settings.data.a = \"1\"; }",
        "Objects that are no workloads.",
    ),
    (
        "pkgsFor",
        "function: system to anything",
        "",
        "system: nixpkgs.legacyPackages.${system}",
        "What workloads get as `pkgs` on each system.",
    ),
    (
        "systems",
        "list of strings",
        "",
        "[ \"x86_64-linux\" \"aarch64-linux\" ]",
        "The systems that nodes may have.",
    ),
    (
        "workloads.<name>",
        "workload, or function to one",
        "",
        "{ pkgs, ... }: { package = pkgs.hello; }",
        "A workload, by the name of its object.",
    ),
];

/// Of a workload: path, type, default and description.
const WORKLOAD: [(&str, &str, &str, &str); 7] = [
    (
        "package",
        "derivation or store path",
        "",
        "The program: the first root of the closure, at `/nix/root` in the pod.",
    ),
    (
        "command",
        "string, or list of strings",
        "`/nix/root/bin/` and the package's `meta.mainProgram`",
        "",
    ),
    (
        "roots",
        "set of derivations or store paths",
        "{ }",
        "Further roots of the closure by name, at `/nix/roots/<name>`.",
    ),
    (
        "containers.<name>.package",
        "derivation or store path",
        "",
        "The program, at `/nix/roots/<name>` in the pod.",
    ),
    (
        "initContainers.<name>.package",
        "derivation or store path",
        "",
        "The program, at `/nix/roots/<name>` in the pod.",
    ),
    ("highAvailability", "boolean", "true", ""),
    (
        "podTemplate",
        "set",
        "{ }",
        "Merged over the pod template that niphas makes, as Kubernetes merges: containers, volumes and variables by name.",
    ),
];

pub(super) fn options() -> Vec<EnvironmentOption> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ENVIRONMENT
        .iter()
        .map(
            |(path, kind, default, example, description)| EnvironmentOption {
                path: (*path).to_owned(),
                kind: (*kind).to_owned(),
                default: given(default),
                example: given(example),
                description: (*description).to_owned(),
                required: matches!(*path, "pkgsFor" | "systems"),
                segments: path.split('.').map(ToOwned::to_owned).collect(),
            },
        )
        .collect()
}

fn find(path: &str) -> Option<&'static (&'static str, &'static str, &'static str, &'static str)> {
    WORKLOAD.iter().find(|(other, ..)| *other == path)
}

pub(super) fn type_of(path: &str) -> Option<&'static str> {
    find(path).map(|(_, kind, ..)| *kind)
}

pub(super) fn default(path: &str) -> Option<&'static str> {
    find(path)
        .map(|(_, _, default, _)| *default)
        .filter(|text| !text.is_empty())
}

pub(super) fn description(path: &str) -> Option<&'static str> {
    find(path)
        .map(|(.., description)| *description)
        .filter(|text| !text.is_empty())
}

/// The paths of the environment's options, for the test that compares them with nixlib's.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    ENVIRONMENT.iter().map(|(path, ..)| *path)
}
