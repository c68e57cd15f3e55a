//! Workloads and closures to compare.

use std::collections::BTreeMap;

use niphas_api::{ClosureLine, ClosureLines, to_yaml};
use niphas_review::{FilePair, Picture, Review, Reviewer};
use nix_formats::StorePath;
use serde_json::{Value, json};

pub(crate) const X86: &str = "x86_64-linux";
pub(crate) const ARM: &str = "aarch64-linux";
pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;

/// The store path of a name; the same for the same seed.
pub(crate) fn path(name: &str, seed: u64) -> StorePath {
    const DIGITS: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xcbf2_9ce4_8422_2325;
    let mut hash = String::new();
    for index in 0..32 {
        for byte in name.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        state = state.wrapping_add(index).rotate_left(23);
        hash.push(char::from(DIGITS[(state >> 40) as usize % 32]));
    }
    StorePath::from_base_name(format!("{hash}-{name}")).unwrap()
}

/// A closure of these names and sizes, the root first.
pub(crate) fn closure(paths: &[(&str, u64)]) -> ClosureLines {
    closure_of(paths, 0)
}

/// The same with other hashes for each seed.
pub(crate) fn closure_of(paths: &[(&str, u64)], seed: u64) -> ClosureLines {
    let lines = paths.iter().map(|(name, nar_size)| ClosureLine {
        path: path(name, seed),
        nar_hash: [7; 32].into(),
        nar_size: *nar_size,
    });
    ClosureLines::new(lines.collect()).unwrap()
}

/// The files of a workload.
#[derive(Clone, Default)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

impl Files {
    /// A workload with these closures by system and further fields of its spec.
    pub(crate) fn workload(
        environment: &str,
        name: &str,
        closures: &[(&str, &ClosureLines, &str)],
        fields: &Value,
    ) -> Self {
        let mut files = BTreeMap::new();
        let mut declared = Vec::new();
        for (system, lines, program) in closures {
            let path = format!(".niphas/{environment}/closures/{name}.{system}.txt");
            files.insert(path, lines.to_string().into_bytes());
            let root = lines
                .as_slice()
                .iter()
                .find(|line| line.path.name() == *program);
            declared.push(json!({
                "system": system,
                "roots": [format!("/nix/store/{}", root.unwrap().path)],
                "digest": lines.digest(),
                "narSize": lines.nar_size(),
                "pathCount": lines.path_count(),
            }));
        }
        let mut spec = fields.clone();
        spec["closures"] = json!(declared);
        spec["command"] = json!(["/nix/root/bin/serve"]);
        let object = json!({
            "apiVersion": "niphas.io/v1alpha1",
            "kind": "NiphasWorkload",
            "metadata": { "name": name },
            "spec": spec,
        });
        let path = format!("deploy/{environment}/{name}/NiphasWorkload-{name}.yaml");
        files.insert(path, to_yaml(&object).unwrap().into_bytes());
        Self(files)
    }

    pub(crate) fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.to_owned(), bytes.into());
        self
    }
}

/// One workload before and after.
pub(crate) struct Change {
    pub(crate) environment: String,
    pub(crate) name: String,
    pub(crate) before: Files,
    pub(crate) after: Files,
}

pub(crate) fn change(environment: &str, name: &str, before: Files, after: Files) -> Change {
    Change {
        environment: environment.to_owned(),
        name: name.to_owned(),
        before,
        after,
    }
}

/// The review of these changes.
pub(crate) fn review(changes: &[Change]) -> Review {
    let mut reviewer = Reviewer::default();
    for change in changes {
        let (before, after) = (&change.before.0, &change.after.0);
        let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
        paths.sort();
        paths.dedup();
        let files = paths
            .into_iter()
            .filter(|path| before.get(*path) != after.get(*path));
        let files: Vec<FilePair<'_>> = files
            .map(|path| FilePair {
                path,
                before: before.get(path).map(Vec::as_slice),
                after: after.get(path).map(Vec::as_slice),
            })
            .collect();
        reviewer.add_environment(&change.environment);
        if !files.is_empty() {
            reviewer.add_workload(&change.environment, &change.name, &files);
        }
    }
    reviewer.finish()
}

/// A shop: a new version, a variable, a new workload, one that goes, and a library that changes everywhere.
pub(crate) fn shop() -> Vec<Change> {
    let mut changes: Vec<Change> = ["production", "staging"]
        .into_iter()
        .flat_map(shop_in)
        .collect();
    let alone = |environment, name, program: &str| {
        let lines = closure(&[(program, 5 * MIB)]);
        Files::workload(environment, name, &[(X86, &lines, program)], &json!({}))
    };
    let mailer = alone("staging", "mailer", "mailer-0.9");
    changes.push(change("staging", "mailer", Files::default(), mailer));
    let legacy = alone("production", "legacy", "legacy-3.1");
    changes.push(change("production", "legacy", legacy, Files::default()));
    changes
}

/// What changes in both environments.
fn shop_in(environment: &str) -> Vec<Change> {
    let old_libc = ("glibc-2.39-52", 30 * MIB);
    let new_libc = ("glibc-2.40-66", 30 * MIB + 120 * KIB);
    let replicas = if environment == "production" { 3 } else { 1 };
    let api = |program: &str, size: u64, libc, level: &str| {
        let closures = [size, size - MIB].map(|size| closure(&[(program, size), libc]));
        let closures = [(X86, &closures[0], program), (ARM, &closures[1], program)];
        let fields = json!({ "replicas": replicas, "env": { "LOG_LEVEL": { "value": level } } });
        Files::workload(environment, "api", &closures, &fields)
    };
    let mut changes = vec![change(
        environment,
        "api",
        api("api-4.0.0", 20 * MIB, old_libc, "info"),
        api("api-4.1.0", 21 * MIB, new_libc, "debug"),
    )];
    let files = |name: &str, program: &str, lines: &ClosureLines, fields: &Value| {
        let closures = [(X86, lines, program), (ARM, lines, program)];
        Files::workload(environment, name, &closures, fields)
    };
    for (name, program) in [("web", "web-1.0"), ("worker", "worker-2.3")] {
        let [before, after] = [old_libc, new_libc].map(|libc| {
            let lines = closure(&[(program, MIB), libc]);
            files(name, program, &lines, &json!({}))
        });
        changes.push(change(environment, name, before, after));
    }
    let lines = closure(&[("report-1.0", 2 * MIB)]);
    let [before, after] = [1, 2].map(|replicas| {
        files(
            "report",
            "report-1.0",
            &lines,
            &json!({ "replicas": replicas }),
        )
    });
    changes.push(change(environment, "report", before, after));
    changes
}

/// The picture of what is there after these changes.
pub(crate) fn picture(changes: &[Change], review: &Review) -> Picture {
    let mut environments: Vec<&str> = changes
        .iter()
        .map(|change| change.environment.as_str())
        .collect();
    environments.sort_unstable();
    environments.dedup();
    let mut picture = Picture::default();
    for environment in environments {
        let here = changes
            .iter()
            .filter(|change| change.environment == environment);
        let files = here.flat_map(|change| &change.after.0);
        let files = files.map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        picture.add(environment, files, review);
    }
    picture
}
