//! What an evaluation adds to the store can be built from afterwards: derivations, and the NARs of sources.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use niphas_environments::{Access, Evaluation, EvaluationRecord};
use nix_builder::{Derivations, Sources, UnreadSource};
use nix_evaluator::io::LocalIo;
use nix_evaluator::{Origin, Settings, Value};
use nix_flake::{FetchSettings, Fetcher};
use nix_formats::{ContentAddressMethod, HashAlgorithm, HashFormat, StoreDir, StorePath, nar};
use tempfile::TempDir;

/// A folder with files to evaluate, and what was recorded of it.
struct Project {
    folder: TempDir,
    record: Arc<EvaluationRecord>,
}

impl Project {
    fn new() -> Self {
        let project = Self {
            folder: TempDir::new().unwrap(),
            record: Arc::new(EvaluationRecord::new(StoreDir::default())),
        };
        let tree = project.path("tree");
        fs::create_dir_all(tree.join("sub")).unwrap();
        fs::write(tree.join("file"), "contents").unwrap();
        fs::write(tree.join("left-out"), "").unwrap();
        fs::write(tree.join("sub/tool"), "#!").unwrap();
        fs::set_permissions(tree.join("sub/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("../file", tree.join("sub/link")).unwrap();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The string that an expression is; `ROOT` in it stands for the folder.
    fn evaluate(&self, expression: &str) -> String {
        let evaluation = Evaluation {
            settings: Settings::default(),
            uses_cache: false,
            access: Access::Everything,
            profile: None,
            hear: Arc::new(|_| ()),
            record: Some(Arc::clone(&self.record)),
            builds: None,
        };
        let fetcher = Fetcher::new(FetchSettings::new(self.path("cache")));
        let expression = expression.replace("ROOT", self.folder.path().to_str().unwrap());
        let text = evaluation.run(&fetcher, LocalIo::default(), |evaluator| {
            match evaluator.eval_source(expression.as_bytes(), Origin::String, b"/")? {
                Value::String(string) => Ok(String::from_utf8_lossy(string.bytes).into_owned()),
                _ => panic!("the expression is no string"),
            }
        });
        text.unwrap()
    }

    /// The NAR of what an expression is the path of.
    fn pack(
        &self,
        expression: &str,
    ) -> (
        StorePath,
        Result<(ContentAddressMethod, Vec<u8>), UnreadSource>,
    ) {
        let path = StoreDir::default()
            .parse(self.evaluate(expression))
            .unwrap();
        let mut written = Vec::new();
        let packed = self.record.write_nar(&path, &mut written);
        (path, packed.map(|address| (address.method, written)))
    }
}

/// The names in a NAR, in order.
fn names(archive: &[u8]) -> Vec<String> {
    let mut reader = nar::Reader::new(archive);
    let mut names = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let nar::Event::Entry(name) = event {
            names.push(String::from_utf8(name).unwrap());
        }
    }
    names
}

#[test]
fn sources_are_packed_as_their_paths_say() {
    let project = Project::new();
    let filtered = "builtins.path { path = ROOT/tree; name = \"f\"; filter = path: type: baseNameOf path != \"left-out\"; }";
    for (expression, method, expected) in [
        (
            "\"${ROOT/tree}\"",
            ContentAddressMethod::Recursive,
            vec!["file", "left-out", "sub", "link", "tool"],
        ),
        (
            filtered,
            ContentAddressMethod::Recursive,
            vec!["file", "sub", "link", "tool"],
        ),
        (
            &format!("builtins.path {{ path = \"${{{filtered}}}/sub\"; name = \"s\"; }}"),
            ContentAddressMethod::Recursive,
            vec!["link", "tool"],
        ),
        (
            "builtins.path { path = ROOT/tree/file; recursive = false; }",
            ContentAddressMethod::Flat,
            vec![],
        ),
        (
            "\"${ROOT/tree/sub/link}\"",
            ContentAddressMethod::Recursive,
            vec![],
        ),
        (
            "builtins.toFile \"t\" \"text\"",
            ContentAddressMethod::Text,
            vec![],
        ),
        (
            "builtins.path { path = builtins.toFile \"t\" \"text\"; name = \"u\"; }",
            ContentAddressMethod::Recursive,
            vec![],
        ),
    ] {
        let (_, packed) = project.pack(expression);
        let (found, archive) = packed.unwrap();
        assert_eq!(
            (found, names(&archive)),
            (
                method,
                expected.iter().map(|&name| name.to_owned()).collect()
            ),
            "{expression}"
        );
    }
}

#[test]
fn a_text_has_its_references_and_derivations_are_texts() {
    let project = Project::new();
    let expression = r#"let
        inner = builtins.toFile "inner" "x";
        drv = derivation { name = "n"; system = "s"; builder = "b"; text = builtins.toFile "outer" inner; };
    in builtins.unsafeDiscardStringContext drv.drvPath"#;
    let (path, packed) = project.pack(expression);
    assert_eq!(packed.unwrap().0, ContentAddressMethod::Text);
    let derivation = project.record.derivation(&path).unwrap().unwrap();
    assert_eq!(derivation.name, "n");
    let references = project.record.references(&path).unwrap();
    assert_eq!(references, derivation.input_sources);
    let outer = references.iter().next().unwrap();
    let inner = project.record.references(outer).unwrap();
    assert_eq!(inner.len(), 1);
    let unknown = StorePath::from_base_name(format!("{}-x.drv", "0c".repeat(16))).unwrap();
    assert!(project.record.derivation(&unknown).unwrap().is_none());
    assert!(project.record.references(&unknown).is_none());
}

#[test]
fn a_source_that_changed_since_is_not_used() {
    let project = Project::new();
    let path = project.evaluate("\"${ROOT/tree}\"");
    fs::write(project.path("tree/file"), "others").unwrap();
    let path = StoreDir::default().parse(path).unwrap();
    let error = project
        .record
        .write_nar(&path, &mut Vec::new())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the files of '{path}' changed after they were evaluated: its path is that of other contents; run again"
        )
    );
    fs::remove_dir_all(project.path("tree")).unwrap();
    let error = project
        .record
        .write_nar(&path, &mut Vec::new())
        .unwrap_err();
    assert!(matches!(error, UnreadSource::Io { .. }), "{error}");
}

#[test]
fn a_work_tree_is_packed_as_git_tracks_it_and_a_download_as_it_was_asked_for() {
    let project = Project::new();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(project.path("tree")).args(arguments);
        assert!(command.status().unwrap().success());
    };
    git(&["init", "--quiet"]);
    git(&["add", "file", "sub"]);
    let expected = ["file", "sub", "link", "tool"];
    for expression in [
        "\"${builtins.fetchGit ROOT/tree}\"",
        "builtins.path { path = (builtins.fetchGit ROOT/tree).outPath; name = \"copy\"; }",
    ] {
        let (_, packed) = project.pack(expression);
        assert_eq!(names(&packed.unwrap().1), expected, "{expression}");
    }
    let hash = HashAlgorithm::Sha256.digest(b"contents");
    let hash = hash.to_string(HashFormat::Base16, false);
    let expression = format!(
        "\"${{builtins.fetchurl {{ url = \"file://ROOT/tree/file\"; sha256 = \"{hash}\"; }}}}\""
    );
    let (_, packed) = project.pack(&expression);
    assert_eq!(packed.unwrap().0, ContentAddressMethod::Flat);
}
