//! Import from derivation: what evaluations ask to be built, and what they read of it. The builder here is a function that
//! writes files.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{fs, io, iter};

use nix_evaluator::io::{
    BuildFailure, Builds, EntryKind, EvalIo, FileType, Files, LocalIo, Outputs, RestrictedIo,
    Restriction, StoreObjects, WantedOutput,
};
use nix_evaluator::{
    Bump, ErrorKind, EvalError, Evaluator, Feature, Origin, PrintOptions, Settings,
};
use nix_formats::{Derivation, StoreDir, StorePath};

/// Builds by running the derivation's variable `does`: `fail`, or else it is the text of the output. What is built lies in a
/// folder by base name.
struct Builder {
    folder: PathBuf,
    objects: Arc<StoreObjects>,
    /// What was asked for, in order.
    asked: Mutex<Vec<Vec<String>>>,
    /// What has been built, and what it refers to.
    built: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

/// What was built.
struct BuiltFiles {
    folder: PathBuf,
    built: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

fn store_path_of(path: &[u8]) -> Option<(String, &[u8])> {
    let (store_path, rest) = StoreDir::default().parse_subpath(path).ok()?;
    Some((StoreDir::default().print(&store_path), rest))
}

impl BuiltFiles {
    fn real(&self, path: &[u8]) -> Vec<u8> {
        let base = path.strip_prefix(b"/nix/store/").unwrap();
        let folder = self.folder.to_str().unwrap();
        [folder.as_bytes(), b"/", base].concat()
    }
}

impl Files for BuiltFiles {
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        LocalIo::default().read_file(&self.real(path))
    }

    fn file_type(&self, path: &[u8]) -> io::Result<FileType> {
        let found = LocalIo::default().file_type(&self.real(path))?;
        found.ok_or(io::ErrorKind::NotFound.into())
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        LocalIo::default().read_dir(&self.real(path))
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        LocalIo::default().read_link(&self.real(path))
    }
}

impl Outputs for BuiltFiles {
    fn holds(&self, path: &[u8]) -> bool {
        self.references(path).is_some()
    }

    fn references(&self, path: &[u8]) -> Option<Vec<String>> {
        let (path, _) = store_path_of(path)?;
        self.built.lock().unwrap().get(&path).cloned()
    }
}

impl Builder {
    fn derivation(&self, drv_path: &str) -> Derivation {
        let io = LocalIo::default().with_objects(Arc::clone(&self.objects));
        let text = io.read_file(drv_path.as_bytes()).unwrap();
        let path = StoreDir::default().parse(drv_path).unwrap();
        let name = path.name().strip_suffix(".drv").unwrap();
        Derivation::parse_aterm(&StoreDir::default(), name, &text).unwrap()
    }

    fn build_one(&self, wanted: &WantedOutput) -> io::Result<String> {
        let store_dir = StoreDir::default();
        let derivation = self.derivation(&wanted.drv_path);
        let sources = derivation.input_sources.iter();
        let mut references: Vec<_> = sources.map(|path| store_dir.print(path)).collect();
        for (input, outputs) in &derivation.input_derivations {
            for output in &outputs.names {
                references.push(self.build_one(&WantedOutput {
                    drv_path: store_dir.print(input),
                    output: output.clone(),
                })?);
            }
        }
        let does = derivation.env[b"does".as_slice()].clone();
        if does == b"fail" {
            return Err(io::Error::other(BuildFailure {
                message: format!("Cannot build '{}'.\nReason: it fails.", wanted.drv_path),
                status: 100,
            }));
        }
        let output = &derivation.outputs[&wanted.output];
        let known = output.path(&store_dir, &derivation.name, &wanted.output);
        // Of contents it is enough here that they have another path.
        let path = known.unwrap().unwrap_or_else(|| {
            StorePath::from_base_name(format!("{}-{}", "1".repeat(32), derivation.name)).unwrap()
        });
        write(&self.folder.join(path.base_name()), &does);
        let path = store_dir.print(&path);
        let mut built = self.built.lock().unwrap();
        built.insert(path.clone(), references);
        Ok(path)
    }
}

/// Makes a folder for `folder`, else a file.
fn write(target: &Path, does: &[u8]) {
    if does != b"folder" {
        fs::write(target, does).unwrap();
    } else if !target.exists() {
        fs::create_dir(target).unwrap();
        fs::write(target.join("default.nix"), "{ x }: x + 1").unwrap();
        fs::write(target.join("left-out"), "").unwrap();
        symlink("default.nix", target.join("link")).unwrap();
    }
}

impl Builds for Builder {
    fn build(&self, wanted: &[WantedOutput]) -> io::Result<Vec<String>> {
        let shown = wanted
            .iter()
            .map(|wanted| format!("{}^{}", &wanted.drv_path[44..], wanted.output));
        self.asked.lock().unwrap().push(shown.collect());
        wanted.iter().map(|wanted| self.build_one(wanted)).collect()
    }
}

/// What came of an evaluation: the printed value or the error with the text of its trace, and what was asked to be built.
struct Evaluated {
    result: Result<String, Box<EvalError>>,
    asked: Vec<Vec<String>>,
}

const PREAMBLE: &str = r#"let
    make = does: args: derivation ({ name = "n"; system = "s"; builder = "b"; inherit does; } // args);
    text = does: make does { };
in "#;

fn evaluate(name: &str, settings: Settings, expression: &str) -> Evaluated {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ifd-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let objects = Arc::new(StoreObjects::default());
    let built = Arc::default();
    objects.set_outputs(Arc::new(BuiltFiles {
        folder: folder.clone(),
        built: Arc::clone(&built),
    }));
    let builder = Arc::new(Builder {
        folder,
        objects: Arc::clone(&objects),
        asked: Mutex::default(),
        built,
    });
    let local = LocalIo::default()
        .with_objects(objects)
        .with_builds(Arc::clone(&builder) as Arc<dyn Builds>);
    let io = RestrictedIo::new(local, Restriction::Restricted);
    let arena = Bump::new();
    let settings = Settings {
        write_store: true,
        ..settings
    };
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    let source = [PREAMBLE, expression].concat();
    let result = evaluator
        .eval_source(source.as_bytes(), Origin::String, b"/")
        .and_then(|value| evaluator.force_deep(value))
        .and_then(|value| evaluator.print(value, PrintOptions::INSTANTIATE))
        .map(|text| String::from_utf8(text).unwrap());
    let asked = builder.asked.lock().unwrap().clone();
    Evaluated { result, asked }
}

fn value(name: &str, expression: &str) -> (String, Vec<Vec<String>>) {
    let evaluated = evaluate(name, Settings::default(), expression);
    (evaluated.result.unwrap(), evaluated.asked)
}

fn asked(names: &[&str]) -> Vec<Vec<String>> {
    iter::once(names.iter().map(|&name| name.to_owned()).collect()).collect()
}

#[test]
fn an_output_is_built_and_imported() {
    let (printed, was_asked) = value("import", r#"import (text "1 + 1")"#);
    assert_eq!(printed, "2");
    assert_eq!(was_asked, asked(&["n.drv^out"]));
    let (printed, _) = value("import-folder", r#"import (text "folder") { x = 1; }"#);
    assert_eq!(printed, "2");
    let (printed, _) = value("scoped", r#"scopedImport { y = 3; } (text "y")"#);
    assert_eq!(printed, "3");
}

#[test]
fn the_files_of_an_output_are_read_in_every_way() {
    let expression = r#"let f = text "folder"; in with builtins; [
        (attrNames (readDir f)) (readFileType "${f}/link") (readFile "${f}/link") (pathExists "${f}/left-out")
        (pathExists "${f}/nothing") (hashFile "md5" "${f}/left-out")
        (readDir (path { path = "${f}"; name = "p"; filter = path: type: baseNameOf path != "left-out"; }))
        (readDir (filterSource (path: type: type == "regular") "${f}"))
        (import (findFile [ { path = "${f}"; } ] "default.nix") { x = 4; })
    ]"#;
    let (printed, was_asked) = value("files", expression);
    assert_eq!(
        printed,
        "[ [ \"default.nix\" \"left-out\" \"link\" ] \"symlink\" \"{ x }: x + 1\" true false \
         \"d41d8cd98f00b204e9800998ecf8427e\" { \"default.nix\" = \"regular\"; link = \"symlink\"; } \
         { \"default.nix\" = \"regular\"; left-out = \"regular\"; } 5 ]"
    );
    let mut each: Vec<_> = was_asked.concat();
    each.dedup();
    assert_eq!(each, ["n.drv^out"]);
}

#[test]
fn all_outputs_of_a_context_are_asked_for_at_once() {
    let expression = r#"builtins.pathExists "${text "a"}${make "b" { name = "m"; }}""#;
    let (_, was_asked) = value("several", expression);
    let mut both = was_asked[0].clone();
    both.sort();
    assert_eq!(both, ["m.drv^out", "n.drv^out"]);
    assert_eq!(was_asked.len(), 1);
}

#[test]
fn an_import_may_need_another_and_may_lead_into_the_closure() {
    let expression = r#"import (text "import ${text "7"} + ${import (text ''"1"'')}")"#;
    let evaluated = evaluate("nested", Settings::default(), expression);
    // What the outer text imports has no context in it: it can be read because it is in the closure.
    assert_eq!(evaluated.asked.len(), 2);
    assert_eq!(evaluated.result.unwrap(), "8");
}

#[test]
fn what_a_read_file_refers_to_is_its_context() {
    let expression = r#"let
        source = builtins.toFile "s" "x";
        read = builtins.readFile (make "see ${source}" { });
    in [ (builtins.attrNames (builtins.getContext read) == [ "${source}" ]) (builtins.hasContext (builtins.readFile (text "x"))) ]"#;
    assert_eq!(value("context", expression).0, "[ true false ]");
}

#[test]
fn a_placeholder_is_the_path_once_it_is_built() {
    let settings = Settings {
        features: BTreeSet::from([Feature::CaDerivations]),
        ..Settings::default()
    };
    let expression = r#"let
        floating = make "folder" { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
    in [
        (import floating { x = 1; }) (builtins.pathExists "${floating}/link")
        (import (builtins.findFile [ { path = floating; } ] "default.nix") { x = 2; })
    ]"#;
    let evaluated = evaluate("floating", settings, expression);
    assert_eq!(evaluated.result.unwrap(), "[ 2 true 3 ]");
}

#[test]
fn a_failed_build_is_an_error_that_is_not_caught() {
    let expression = r#"(builtins.tryEval (builtins.readFile (text "fail"))).success"#;
    let evaluated = evaluate("fails", Settings::default(), expression);
    let error = evaluated.result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Build { status: 100 });
    assert!(error.message.ends_with("-n.drv'.\nReason: it fails."));
    let steps: Vec<_> = error.traces.iter().map(|trace| &*trace.text).collect();
    assert!(steps[0].starts_with("while realising the context of path '/nix/store/"));
    assert_eq!(steps[1], "while calling the 'readFile' builtin");
}

#[test]
fn only_closures_of_what_was_built_are_allowed() {
    let expression = r#"[ (builtins.readFile (text "a")) (builtins.readFile "/nix/store/x") ]"#;
    let evaluated = evaluate("restricted", Settings::default(), expression);
    let error = evaluated.result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Restricted);
    assert_eq!(
        error.message,
        "access to absolute path '/nix/store/x' is forbidden in restricted mode"
    );
}

#[test]
fn an_entry_of_the_look_up_path_must_be_there() {
    let missing = format!("/nix/store/{}-x", "0c".repeat(16));
    let expression = format!(
        r#"builtins.findFile [ {{ path = builtins.appendContext "{missing}" {{ "{missing}".path = true; }}; }} ] "a""#
    );
    let evaluated = evaluate("invalid", Settings::default(), &expression);
    let error = evaluated.result.unwrap_err();
    let base_name = missing.rsplit('/').next().unwrap();
    assert_eq!(
        error.message,
        format!("cannot find '{missing}', since path '{base_name}' is not valid")
    );
}
