//! Lock files: with Nix at hand (`NIPHAS_ORACLE`) byte for byte against what it writes, and always
//! against what it wrote once (`vectors/locks`).

#![allow(clippy::disallowed_methods, reason = "tests lay out their own files")]

mod support;

use std::fs;
use std::path::Path;

use support::{Change, World, oracle};

/// Locks `reference` and compares. With Nix, its answer must be the same; without, the one kept.
fn check(name: &str, world: &World, reference: &str, change: &Change) {
    let ours = world
        .lock(reference, change)
        .map(|locked| locked.lock_file.to_json() + "\n");
    let ours = ours.unwrap_or_else(|error| panic!("{name}: {error}"));
    let kept =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/locks/{name}.json"));
    if let Some(oracle) = oracle() {
        let nix = world
            .nix_lock(&oracle, reference, change)
            .unwrap_or_else(|error| panic!("{name}: Nix says {error}"));
        if ours != nix {
            let diff = ours
                .lines()
                .zip(nix.lines())
                .find(|(ours, nix)| ours != nix);
            panic!("{name}: ours and Nix's differ: {diff:#?}\n{ours}");
        }
        if std::env::var_os("NIPHAS_BLESS").is_some() {
            fs::write(&kept, world.normal(&nix)).expect("a vector");
        }
    }
    let kept = fs::read_to_string(&kept).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(world.normal(&ours), kept, "{name}");
}

/// As [`check`], then leaves the lock file in the flake.
fn check_and_write(name: &str, world: &World, flake: &str, change: &Change) {
    check(name, world, &format!("path:@/{flake}"), change);
    let lock = world
        .lock(&format!("path:@/{flake}"), change)
        .expect("a lock");
    world.write(
        &format!("{flake}/flake.lock"),
        &(lock.lock_file.to_json() + "\n"),
    );
    world.settle(flake);
}

#[test]
fn a_flake_without_inputs_has_an_empty_lock() {
    let world = World::new();
    world.flake("top", "");
    check("no-inputs", &world, "path:@/top", &Change::default());
}

#[test]
fn folders_git_repositories_and_archives_are_locked() {
    let world = World::new();
    world
        .flake("plain", "")
        .write("plain/x", "x")
        .settle("plain");
    world.flake("repo", "").commit("repo");
    world
        .write("archive/a/flake.nix", "{ outputs = _: { }; }")
        .settle("archive");
    let tar = |args: &[&str]| {
        let status = std::process::Command::new("tar")
            .args(args)
            .current_dir(world.root())
            .status();
        assert!(status.expect("tar").success());
    };
    tar(&["-czf", "a.tar.gz", "-C", "archive", "a"]);
    tar(&["-cJf", "a.tar.xz", "-C", "archive", "a"]);
    tar(&["-cjf", "a.tar.bz2", "-C", "archive/a", "."]);
    world.flake(
        "top",
        r#"plain.url = "path:@/plain"; repo.url = "git+file://@/repo";
           gz.url = "file://@/a.tar.gz"; xz.url = "tarball+file://@/a.tar.xz"; bz2 = { url = "file://@/a.tar.bz2"; flake = false; };
           file = { url = "file+file://@/plain/x"; flake = false; };
           tree = { url = "path:@/plain"; flake = false; };"#,
    );
    check("kinds", &world, "path:@/top", &Change::default());
}

#[test]
fn inputs_of_inputs_are_locked_and_named() {
    let world = World::new();
    world.flake("n", "").settle("n");
    world
        .write("n2/flake.nix", "{ description = \"2\"; outputs = _: { }; }")
        .settle("n2");
    world
        .flake("a", r#"n.url = "path:@/n"; m.follows = "n";"#)
        .settle("a");
    world
        .flake(
            "b",
            r#"n.url = "path:@/n2"; a.url = "path:@/a"; a.inputs.n.follows = "n";"#,
        )
        .settle("b");
    world.flake("top", r#"n.url = "path:@/n"; a.url = "path:@/a"; b.url = "path:@/b"; b.inputs.a.follows = "a"; n_2.url = "path:@/n2";"#);
    check("nested", &world, "path:@/top", &Change::default());
    world.flake("top", r#"a.url = "path:@/a"; b.url = "path:@/b"; b.inputs.a.inputs.m.follows = "b/n"; a.inputs.n.url = "path:@/n2";"#);
    check("nested-overrides", &world, "path:@/top", &Change::default());
    world.flake(
        "top",
        r#"b.url = "path:@/b"; b.inputs.n.follows = ""; c.follows = "b/a";"#,
    );
    check("follows-root", &world, "path:@/top", &Change::default());
}

#[test]
fn locks_of_inputs_are_taken_over() {
    let world = World::new();
    world.flake("n", "").settle("n");
    world.flake("a", r#"n.url = "path:@/n";"#).settle("a");
    check_and_write("inner", &world, "a", &Change::default());
    world.write("n/new", "changed").settle("n");
    world
        .flake("top", r#"a.url = "path:@/a"; n.url = "path:@/n";"#)
        .settle("top");
    check_and_write("inner-taken-over", &world, "top", &Change::default());
    let update = Change {
        update: vec!["a/n"],
        ..Change::default()
    };
    check("inner-updated", &world, "path:@/top", &update);
    world.flake(
        "top",
        r#"a.url = "path:@/a"; n.url = "path:@/n"; a.inputs.n.follows = "n";"#,
    );
    check_and_write("inner-follows", &world, "top", &Change::default());
    world.flake("top", r#"a.url = "path:@/a";"#);
    check(
        "inner-follows-no-more",
        &world,
        "path:@/top",
        &Change::default(),
    );
}

#[test]
fn old_locks_are_kept_until_the_reference_changes() {
    let world = World::new();
    world.flake("a", "").settle("a");
    world.flake("b", "").settle("b");
    world
        .flake("top", r#"a.url = "path:@/a"; b.url = "path:@/b";"#)
        .settle("top");
    check_and_write("two", &world, "top", &Change::default());
    world
        .write("a/x", "x")
        .settle("a")
        .write("b/x", "x")
        .settle("b");
    check("two-kept", &world, "path:@/top", &Change::default());
    let update = Change {
        update: vec!["b"],
        ..Change::default()
    };
    check("two-one-updated", &world, "path:@/top", &update);
    let recreate = Change {
        recreate: true,
        ..Change::default()
    };
    check("two-recreated", &world, "path:@/top", &recreate);
    let overridden = Change {
        overrides: vec![("a", "path:@/b")],
        ..Change::default()
    };
    check_and_write("two-overridden", &world, "top", &overridden);
    check(
        "two-override-sticks",
        &world,
        "path:@/top",
        &Change::default(),
    );
    world.flake("top", r#"b.url = "path:@/b"; c.url = "path:@/a";"#);
    check("two-renamed", &world, "path:@/top", &Change::default());
}

#[test]
fn relative_paths_stay_within_their_tree() {
    let world = World::new();
    world.flake("other", "").settle("other");
    world.flake("repo/sub/deep", r#"o.url = "path:@/other";"#);
    world.flake(
        "repo/sub",
        r#"deep.url = "path:./deep"; up.url = "path:../lib";"#,
    );
    world.write("repo/lib/flake.nix", "{ outputs = _: { }; }");
    world.flake("repo", r#"sub.url = "path:./sub"; data = { url = "path:./lib"; flake = false; }; dir.url = "path:./sub?dir=deep"; lit.url = ./lib;"#);
    world.settle("repo");
    check("relative", &world, "path:@/repo", &Change::default());
    world.commit("repo");
    check(
        "relative-git",
        &world,
        "git+file://@/repo",
        &Change::default(),
    );
    world.flake(
        "top",
        r#"r.url = "git+file://@/repo"; r.inputs.sub.inputs.up.url = "path:./local";"#,
    );
    world.flake("top/local", "").settle("top");
    check_and_write("relative-input", &world, "top", &Change::default());
    check(
        "relative-input-again",
        &world,
        "path:@/top",
        &Change::default(),
    );
}

#[test]
fn relative_inputs_have_relative_inputs_also_once_they_are_locked() {
    let world = World::new();
    world.flake("mono/child", r#"up.url = "path:../lib";"#);
    world.write("mono/lib/flake.nix", "{ outputs = _: { }; }");
    world.flake("mono", r#"c.url = "path:./child";"#);
    world.settle("mono");
    check_and_write("relative-twice", &world, "mono", &Change::default());
    check(
        "relative-twice-again",
        &world,
        "path:@/mono",
        &Change::default(),
    );
    world
        .flake("top", r#"m.url = "path:@/mono";"#)
        .settle("top");
    check_and_write("relative-twice-input", &world, "top", &Change::default());
    check(
        "relative-twice-input-again",
        &world,
        "path:@/top",
        &Change::default(),
    );
}

#[test]
fn names_are_looked_up_in_the_global_registry() {
    let world = World::new();
    world
        .flake("n", "")
        .write("n/d/flake.nix", "{ outputs = _: { }; }")
        .commit("n");
    world.git("n", &["tag", "v1"]).git("n", &["branch", "dev"]);
    world.write(
        "registry.json",
        r#"{ "version": 2, "flakes": [
             { "from": { "type": "indirect", "id": "n" }, "to": { "type": "git", "url": "file://@/n", "ref": "main" } },
             { "from": { "type": "indirect", "id": "d" }, "to": { "type": "git", "url": "file://@/n", "dir": "d" } } ] }"#,
    );
    world.write(
        "top/flake.nix",
        r#"{ inputs.x.url = "n/dev"; inputs.y.url = "d"; outputs = { self, n, x, y }: { }; }"#,
    );
    check("registry", &world, "path:@/top", &Change::default());
}

#[test]
fn git_references_may_name_branches_commits_and_folders() {
    let world = World::new();
    world.flake("sub", "").write("sub/s", "s").commit("sub");
    world.flake("repo", "").flake("repo/d", "").commit("repo");
    world.git("repo", &["submodule", "--quiet", "add", "../sub", "m"]);
    world
        .write("repo/.gitattributes", "d export-ignore\n")
        .commit("repo");
    world
        .git("repo", &["branch", "dev"])
        .git("repo", &["tag", "-a", "-m", "t", "v1"]);
    world.write("repo/late", "late").commit("repo");
    world.git(".", &["clone", "-q", "--bare", "repo", "bare.git"]);
    world.flake(
        "top",
        r#"dev.url = "git+file://@/repo?ref=dev"; tag.url = "git+file://@/repo?ref=refs/tags/v1&dir=d";
           shallow.url = "git+file://@/repo?shallow=1&ref=dev"; modules = { url = "git+file://@/repo?submodules=1&ref=dev"; flake = false; };
           ignore = { type = "git"; url = "file://@/repo"; ref = "dev"; exportIgnore = true; };
           bare.url = "git+file://@/bare.git"; barebranch.url = "git+file://@/bare.git?ref=dev";"#,
    );
    check("git", &world, "path:@/top", &Change::default());
}

#[test]
fn a_clean_work_tree_is_locked_to_its_commit() {
    let world = World::new();
    world.flake("sub", "").write("sub/s", "s").commit("sub");
    world
        .flake("repo", "")
        .write("repo/.gitignore", "ignored\n")
        .commit("repo");
    world
        .git("repo", &["submodule", "--quiet", "add", "../sub", "m"])
        .commit("repo");
    world.write("repo/ignored", "").write("repo/untracked", "");
    world.flake("top", r#"head.url = "git+file://@/repo";"#);
    check("git-head", &world, "path:@/top", &Change::default());
    world.flake("top", r#"modules.url = "git+file://@/repo?submodules=1";"#);
    check(
        "git-head-submodules",
        &world,
        "path:@/top",
        &Change::default(),
    );
    world.git("repo", &["checkout", "-q", "--detach"]);
    world.flake("top", r#"detached.url = "git+file://@/repo?shallow=1";"#);
    check(
        "git-head-detached",
        &world,
        "path:@/top",
        &Change::default(),
    );
}
