//! What an evaluation sees of the world: files, the store it puts things into, and less of both where it is restricted.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix_evaluator::io::{EvalIo, LocalIo, RestrictedIo, Restriction, StoreFolder};
use nix_evaluator::{Bump, ErrorKind, Evaluator, Origin, PrintOptions, Settings};
use nix_formats::StoreDir;

/// A new folder with a small tree: `file`, `folder/inner`, `folder/tool` (executable), `link` to `folder`, `dangling`.
fn tree(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if root.exists() {
        unseal(&root);
        fs::remove_dir_all(&root).unwrap();
    }
    fs::create_dir_all(root.join("folder")).unwrap();
    fs::write(root.join("file"), "contents").unwrap();
    fs::write(root.join("folder/inner"), "inner").unwrap();
    fs::write(root.join("folder/tool"), "#!").unwrap();
    fs::set_permissions(root.join("folder/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("folder", root.join("link")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    fs::canonicalize(root).unwrap()
}

fn unseal(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            unseal(&path);
        }
    }
}

/// The value as Nix prints it, or the kind of error and its message. `ROOT` in the expression is the tree.
fn evaluate(
    io: &dyn EvalIo,
    settings: Settings,
    root: &Path,
    expression: &str,
) -> Result<String, (ErrorKind, String)> {
    let root = root.to_str().unwrap();
    let arena = Bump::new();
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    let source = expression.replace("ROOT", root);
    evaluator
        .eval_source(source.as_bytes(), Origin::String, b"/")
        .and_then(|value| evaluator.force_deep(value))
        .and_then(|value| evaluator.print(value, PrintOptions::INSTANTIATE))
        .map(|text| String::from_utf8(text).unwrap().replace(root, "ROOT"))
        .map_err(|error| (error.kind, error.message.replace(root, "ROOT")))
}

fn local(name: &str, expression: &str) -> Result<String, (ErrorKind, String)> {
    evaluate(
        &LocalIo::default(),
        Settings::default(),
        &tree(name),
        expression,
    )
}

fn pure(name: &str, allowed: &str, expression: &str) -> Result<String, (ErrorKind, String)> {
    let root = tree(name);
    let io = RestrictedIo::new(LocalIo::default(), Restriction::Pure);
    io.allow(root.join(allowed).to_str().unwrap().as_bytes());
    let settings = Settings {
        pure: true,
        ..Settings::default()
    };
    evaluate(&io, settings, &root, expression)
}

#[test]
fn a_slash_at_the_end_asks_for_a_folder() {
    let expression = r#"map builtins.pathExists [
        "ROOT/file" "ROOT/file/" "ROOT/folder/" "ROOT/link/" "ROOT/link/." "ROOT/dangling" "ROOT/dangling/" "ROOT/nope"
    ]"#;
    let found = local("slash", expression).unwrap();
    assert_eq!(found, "[ true false true true true true false false ]");
}

#[test]
fn links_are_followed_where_nix_follows_them() {
    let expression = r"[
        (builtins.readFileType ROOT/link) (builtins.attrNames (builtins.readDir ROOT/link))
        (builtins.readFile ROOT/link/inner) (builtins.readDir ROOT)
    ]";
    assert_eq!(
        local("links", expression).unwrap(),
        r#"[ "symlink" [ "inner" "tool" ] "inner" { dangling = "symlink"; file = "regular"; folder = "directory"; link = "symlink"; } ]"#
    );
}

#[test]
fn what_was_put_into_the_store_can_be_read_back() {
    let expression = r#"let
        source = builtins.filterSource (path: type: baseNameOf path != "tool") ROOT/folder;
        text = builtins.toFile "t.nix" "x: x + 1";
        referring = builtins.toFile "r" "see ${text}";
    in [
        (builtins.attrNames (builtins.readDir source)) (builtins.pathExists "${source}/tool")
        (builtins.readFile "${source}/inner") (import text 1)
        (builtins.attrNames (builtins.getContext (builtins.readFile referring)) == [ "${text}" ])
    ]"#;
    assert_eq!(
        local("read-back", expression).unwrap(),
        r#"[ [ "inner" ] false "inner" 2 true ]"#
    );
}

#[test]
fn an_imported_derivation_has_the_outputs_of_the_original() {
    let expression = r#"let
        drv = derivation { name = "n"; system = "s"; builder = "b"; outputs = [ "out" "dev" ]; };
        imported = import drv.drvPath;
    in [
        (imported.drvPath == drv.drvPath) (imported.dev.outPath == drv.dev.outPath) imported.name imported.type
        (map (output: output.outputName) imported.all)
        (builtins.getContext "${imported.dev}" == builtins.getContext "${drv.dev}")
    ]"#;
    assert_eq!(
        local("import-drv", expression).unwrap(),
        r#"[ true true "n" "derivation" [ "dev" "out" ] true ]"#
    );
}

#[test]
fn an_output_cannot_be_imported() {
    let expression =
        r#"import "${derivation { name = "n"; system = "s"; builder = "b"; }}/default.nix""#;
    let (kind, message) = local("ifd", expression).unwrap_err();
    assert_eq!(kind, ErrorKind::ImportFromDerivation);
    assert!(message.ends_with(
        "-n.drv^out' during evaluation because the option 'allow-import-from-derivation' is disabled"
    ));
}

#[test]
fn the_look_up_path_is_searched_by_prefix() {
    let expression = r#"let
        find = builtins.findFile [ { prefix = "a"; path = "ROOT/folder"; } { path = "ROOT"; } ];
    in [
        (find "a/inner") (find "a") (find "file") (find "link/tool")
        (builtins.tryEval (find "ab")).success (toString (find "nix/fetchurl.nix"))
    ]"#;
    assert_eq!(
        local("look-up", expression).unwrap(),
        r#"[ ROOT/folder/inner ROOT/folder ROOT/file ROOT/folder/tool false "/fetchurl.nix" ]"#
    );
    let (kind, message) = local("look-up", "builtins.findFile [ ] \"x\"").unwrap_err();
    assert_eq!(kind, ErrorKind::Thrown);
    assert_eq!(
        message,
        "file 'x' was not found in the Nix search path (add it using $NIX_PATH or -I)"
    );
}

#[test]
fn pure_evaluation_sees_only_what_is_allowed() {
    let allowed = r#"[
        (builtins.readFile ROOT/folder/inner) (builtins.pathExists ROOT/file)
        (builtins.attrNames (builtins.readDir ROOT)) (builtins.getEnv "HOME")
        (import (builtins.toFile "t" "1")) (builtins ? currentTime) (builtins ? currentSystem)
        (builtins.readFile "${builtins.path { path = ROOT/folder; name = "f"; }}/inner")
    ]"#;
    assert_eq!(
        pure("pure", "folder", allowed).unwrap(),
        r#"[ "inner" false [ "folder" ] "" 1 false false "inner" ]"#
    );
    let forbidden = |path| {
        let message = format!(
            "access to absolute path '{path}' is forbidden in pure evaluation mode (use '--impure' to override)"
        );
        Err((ErrorKind::Restricted, message))
    };
    for expression in [
        "builtins.readFile ROOT/file",
        "import ROOT/file",
        "\"${ROOT/file}\"",
        "builtins.readFileType ROOT/file",
        "builtins.hashFile \"md5\" ROOT/file",
    ] {
        assert_eq!(
            pure("pure", "folder", expression),
            forbidden("ROOT/file"),
            "{expression}"
        );
    }
}

#[test]
fn a_link_does_not_lead_out_of_what_is_allowed() {
    let root = tree("escape");
    symlink("../file", root.join("folder/out")).unwrap();
    symlink("..", root.join("folder/up")).unwrap();
    let io = RestrictedIo::new(LocalIo::default(), Restriction::Pure);
    io.allow(root.join("folder").to_str().unwrap().as_bytes());
    for expression in [
        "builtins.readFile ROOT/folder/out",
        "import ROOT/folder/out",
        "builtins.readFile ROOT/folder/up/file",
        "import ROOT/folder/up/file",
        "builtins.path { path = ROOT/folder/out; }",
        "\"${ROOT/folder/up/file}\"",
    ] {
        let (kind, _) = evaluate(&io, Settings::default(), &root, expression).unwrap_err();
        assert_eq!(kind, ErrorKind::Restricted, "{expression}");
    }
}

#[test]
fn a_link_to_itself_is_an_error() {
    let root = tree("loop");
    symlink("loop", root.join("loop")).unwrap();
    let io = LocalIo::default();
    let error = |expression| {
        evaluate(&io, Settings::default(), &root, expression)
            .unwrap_err()
            .1
    };
    assert_eq!(
        error("builtins.readFile ROOT/loop"),
        "infinite symlink recursion in path 'ROOT/loop'"
    );
    assert_eq!(
        error("import ROOT/loop"),
        "too many symbolic links encountered while traversing the path 'ROOT/loop'"
    );
}

#[test]
fn a_store_folder_holds_sealed_objects() {
    let root = tree("store");
    let store = root.join("store");
    let folder = StoreFolder::open(StoreDir::default(), &store).unwrap();
    let io = LocalIo::with_store(folder);
    let settings = Settings {
        write_store: true,
        ..Settings::default()
    };
    let expression = r#"let
        source = builtins.path { path = ROOT/folder; name = "source"; filter = path: type: baseNameOf path != "inner"; };
        drv = derivation { name = "n"; system = "s"; builder = "b"; inherit source; text = builtins.toFile "t" "text"; };
    in "${drv.drvPath} ${builtins.readFile "${source}/tool"}""#;
    let printed = evaluate(&io, settings, &root, expression).unwrap();
    assert!(printed.ends_with("-n.drv #!\""), "{printed}");
    let mut names: Vec<_> = fs::read_dir(&store)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_by_key(|name| name[32..].to_owned());
    let ends: Vec<_> = names.iter().map(|name| &name[32..]).collect();
    assert_eq!(ends, ["-n.drv", "-source", "-t"]);
    let sealed = |path: &Path| {
        let metadata = fs::symlink_metadata(path).unwrap();
        (metadata.mode() & 0o7777, metadata.mtime())
    };
    assert_eq!(sealed(&store.join(&names[0])), (0o444, 1));
    assert_eq!(sealed(&store.join(&names[1])), (0o555, 1));
    assert_eq!(sealed(&store.join(&names[1]).join("tool")), (0o555, 1));
    assert!(!store.join(&names[1]).join("inner").exists());
    assert_eq!(fs::read_to_string(store.join(&names[2])).unwrap(), "text");
    let text = fs::read_to_string(store.join(&names[0])).unwrap();
    assert!(text.starts_with("Derive([(\"out\",\"/nix/store/"), "{text}");
}

#[test]
fn the_store_is_a_folder_before_anybody_made_it() {
    let root = tree("no-store");
    let store = StoreDir::new(root.join("nowhere").to_str().unwrap()).unwrap();
    let settings = Settings {
        store_dir: store,
        ..Settings::default()
    };
    let expression = "with builtins; [ (pathExists storeDir) (readFileType storeDir) (readDir storeDir) (pathExists (storeDir + \"/foo\")) ]";
    let printed = evaluate(&LocalIo::default(), settings, &root, expression);
    assert_eq!(printed.as_deref(), Ok(r#"[ true "directory" { } false ]"#));
}
