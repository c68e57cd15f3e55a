//! Repositories on this machine.

use std::fs;

use niphas_gitops::{
    Access, BadLocation, ChangeKind, Error, FileChange, GitOpsRepository, Location, Outcome,
    Relation, history_in, init,
};
use niphas_render::Lock;

use crate::support::{
    TestRepository, assert_nothing_lost, committed, environment, explain, manifest_path, open_main,
    race, request,
};

#[test]
fn first_run_commits_all_files_and_the_second_none() {
    let test = TestRepository::bare();
    let request = request(&[environment("production", &[("web", "a"), ("db", "b")])]);
    let commit = committed(&test.open().commit(&request).unwrap());
    assert_eq!(test.tip(), Some(commit));
    insta::assert_snapshot!(test.files().join("\n"), @r#"
    .niphas/.gitattributes
    .niphas/production.lock
    .niphas/production/closures/db.x86_64-linux.txt
    .niphas/production/closures/web.x86_64-linux.txt
    README
    deploy/production/db/NiphasWorkload-db.yaml
    deploy/production/web/NiphasWorkload-web.yaml
    "#);
    insta::assert_snapshot!(test.message(), @r#"
    niphas: render production

    - db, web: added

    Niphas-Source-Repo: https://example.org/shop.git
    Niphas-Source-Rev: 1111111111111111111111111111111111111111
    Niphas-Flake-Lock: sha256:00
    Niphas-Renderer: niphas 0.1.0
    "#);
    assert_eq!(
        test.open().commit(&request).unwrap(),
        Outcome::Unchanged {
            tip: Some(commit),
            gone: Vec::new(),
        }
    );
    assert_eq!(test.tip(), Some(commit));
}

#[test]
fn first_commit_of_a_new_repository_makes_its_branch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    init(&path, "main").unwrap();
    let location = Location::Path(path.clone());
    let repository = GitOpsRepository::open(&location, None, Access::default()).unwrap();
    assert_eq!(repository.branch(), "main");
    committed(
        &repository
            .commit(&request(&[environment("production", &[("web", "a")])]))
            .unwrap(),
    );
    assert!(path.join(manifest_path("production", "web")).is_file());
}

#[test]
fn several_environments_go_into_one_commit() {
    let test = TestRepository::bare();
    let environments = ["production", "staging"].map(|name| environment(name, &[("web", name)]));
    committed(&test.open().commit(&request(&environments)).unwrap());
    assert_eq!(test.linear_history(), 2);
    assert!(
        test.message()
            .starts_with("niphas: render production, staging\n")
    );
}

#[test]
fn changed_files_are_replaced_and_those_no_longer_needed_removed() {
    let test = TestRepository::bare();
    let before = environment("production", &[("web", "a"), ("db", "b")]);
    committed(&test.open().commit(&request(&[before])).unwrap());
    test.commit(
        "by hand",
        &[("deploy/production/web/notes.yaml", Some("mine"))],
    );
    let after = environment("production", &[("web", "c"), ("cache", "d")]);
    let outcome = test.open().commit(&request(&[after])).unwrap();
    let Outcome::Committed { changes, .. } = outcome else {
        panic!("{outcome:?}")
    };
    let change = |path: &str, kind| FileChange {
        path: path.to_owned(),
        kind,
    };
    let expected = [
        change(".niphas/production.lock", ChangeKind::Changed),
        change(
            ".niphas/production/closures/cache.x86_64-linux.txt",
            ChangeKind::Added,
        ),
        change(
            ".niphas/production/closures/db.x86_64-linux.txt",
            ChangeKind::Removed,
        ),
        change(
            ".niphas/production/closures/web.x86_64-linux.txt",
            ChangeKind::Changed,
        ),
        change(&manifest_path("production", "cache"), ChangeKind::Added),
        change(&manifest_path("production", "db"), ChangeKind::Removed),
        change(&manifest_path("production", "web"), ChangeKind::Changed),
    ];
    assert_eq!(changes, expected);
    // What others put there stays.
    assert_eq!(
        test.read("deploy/production/web/notes.yaml").as_deref(),
        Some("mine")
    );
    assert_eq!(test.read("README").as_deref(), Some("Deployments.\n"));
}

#[test]
fn plan_shows_the_patch_and_writes_nothing() {
    let test = TestRepository::bare();
    committed(
        &test
            .open()
            .commit(&request(&[environment("production", &[("web", "a")])]))
            .unwrap(),
    );
    let tip = test.tip();
    let after = request(&[environment("production", &[("web", "b")])]);
    let plan = test.open().plan(&after).unwrap();
    assert_eq!((plan.tip, test.tip()), (tip, tip));
    assert_eq!(plan.changes.len(), 3);
    let manifest = plan.diff.split("diff --git ").last().unwrap();
    insta::assert_snapshot!(manifest, @r#"
    a/deploy/production/web/NiphasWorkload-web.yaml b/deploy/production/web/NiphasWorkload-web.yaml
    index 092e27a..dcf711a 100644
    --- a/deploy/production/web/NiphasWorkload-web.yaml
    +++ b/deploy/production/web/NiphasWorkload-web.yaml
    @@ -5,4 +5,4 @@ metadata:
         niphas.io/environment: production
       name: web
     spec:
    -  word: a
    +  word: b
    "#);
    let same = request(&[environment("production", &[("web", "a")])]);
    let plan = test.open().plan(&same).unwrap();
    assert_eq!((plan.changes, plan.diff), (vec![], String::new()));
}

#[test]
fn file_edited_by_hand_stops_the_run() {
    let test = TestRepository::bare();
    committed(
        &test
            .open()
            .commit(&request(&[environment("production", &[("web", "a")])]))
            .unwrap(),
    );
    let path = manifest_path("production", "web");
    let edited = test.commit("by hand", &[(&path, Some("edited"))]);
    let after = request(&[environment("production", &[("web", "b")])]);
    insta::assert_snapshot!(explain(&test.open().commit(&after).unwrap_err()), @r#"
    'deploy/production/web/NiphasWorkload-web.yaml' was edited by hand since niphas wrote it
      hint: make the change in the flake instead, and put the file back as niphas wrote it (git revert)
    "#);
    // Also where the run would have removed it.
    let without = request(&[environment("production", &[("db", "b")])]);
    assert!(matches!(
        test.open().commit(&without),
        Err(Error::EditedByHand { .. })
    ));
    assert_eq!(test.tip(), Some(edited));
    let removed = test.commit("by hand", &[(&path, None)]);
    insta::assert_snapshot!(explain(&test.open().commit(&after).unwrap_err()), @r#"
    'deploy/production/web/NiphasWorkload-web.yaml' was removed by hand since niphas wrote it
      hint: make the change in the flake instead, and put the file back as niphas wrote it (git revert)
    "#);
    assert_eq!(test.tip(), Some(removed));
}

#[test]
fn edit_that_is_what_the_run_wants_is_no_obstacle() {
    let test = TestRepository::bare();
    committed(
        &test
            .open()
            .commit(&request(&[environment("production", &[("web", "a")])]))
            .unwrap(),
    );
    let after = environment("production", &[("web", "b")]);
    let path = manifest_path("production", "web");
    let text = String::from_utf8(after.files[&path].clone()).unwrap();
    let text = format!(
        "# Generated by niphas from example.org/shop; do not edit: change the flake.\n{text}"
    );
    test.commit("by hand", &[(&path, Some(&text))]);
    committed(&test.open().commit(&request(&[after])).unwrap());
}

#[test]
fn files_of_others_are_not_overwritten() {
    let test = TestRepository::bare();
    let wanted = request(&[environment("production", &[("web", "a")])]);
    test.commit(
        "by hand",
        &[(&manifest_path("production", "web"), Some("mine"))],
    );
    insta::assert_snapshot!(explain(&test.open().commit(&wanted).unwrap_err()), @r#"
    'deploy/production/web/NiphasWorkload-web.yaml' is in the way: niphas did not write it
      hint: move it away, or render to another folder
    "#);
    let test = TestRepository::bare();
    test.commit(
        "by hand",
        &[("deploy/production", Some("a file, not a folder"))],
    );
    insta::assert_snapshot!(explain(&test.open().commit(&wanted).unwrap_err()), @r#"
    'deploy/production' is in the way: niphas did not write it
      hint: move it away, or render to another folder
    "#);
    let test = TestRepository::bare();
    let below = format!("{}/x", manifest_path("production", "web"));
    test.commit("by hand", &[(&below, Some("a folder, not a file"))]);
    assert!(matches!(
        test.open().commit(&wanted),
        Err(Error::InTheWay { .. })
    ));
}

#[test]
fn forged_lock_removes_no_file_of_others() {
    let test = TestRepository::bare();
    let files = [("production.yaml".to_owned(), b"important".to_vec())].into();
    let lock = String::from_utf8(Lock::of(&files).to_bytes()).unwrap();
    test.commit(
        "by hand",
        &[
            ("production.yaml", Some("important")),
            (".niphas/production.lock", Some(&lock)),
        ],
    );
    committed(
        &test
            .open()
            .commit(&request(&[environment("production", &[("web", "a")])]))
            .unwrap(),
    );
    assert_eq!(test.read("production.yaml").as_deref(), Some("important"));
}

#[test]
fn locks_that_cannot_be_read_stop_the_run() {
    let test = TestRepository::bare();
    let wanted = request(&[environment("production", &[("web", "a")])]);
    let mut texts = Vec::new();
    for lock in [
        "{",
        r#"{"version": 9}"#,
        r#"{"version":1,"files":{"../x":"sha256:00"}}"#,
    ] {
        test.commit("by hand", &[(".niphas/production.lock", Some(lock))]);
        texts.push(explain(&test.open().commit(&wanted).unwrap_err()));
    }
    insta::assert_snapshot!(texts.join("\n"), @r#"
    cannot read '.niphas/production.lock' in the repository
      because not a lock of niphas
      because EOF while parsing an object at line 1 column 1
      hint: restore it from the repository's history
    cannot read '.niphas/production.lock' in the repository
      because version 9 of the lock is not known to this niphas (it knows 1)
      hint: a newer niphas wrote it: use that
    cannot read '.niphas/production.lock' in the repository
      because not a lock of niphas
      because 'sha256:00' is not 'sha256:' and 64 hexadecimal digits at line 1 column 41
      hint: restore it from the repository's history
    "#);
}

#[test]
fn emptying_an_environment_has_to_be_allowed() {
    let test = TestRepository::bare();
    committed(
        &test
            .open()
            .commit(&request(&[environment("production", &[("web", "a")])]))
            .unwrap(),
    );
    let mut empty = request(&[environment("production", &[])]);
    insta::assert_snapshot!(explain(&test.open().commit(&empty).unwrap_err()), @r#"
    environment 'production' has no workloads: 2 files would be removed
    "#);
    empty.allow.empty = true;
    committed(&test.open().commit(&empty).unwrap());
    assert_eq!(test.files(), ["README"]);
    assert!(matches!(
        test.open().commit(&empty).unwrap(),
        Outcome::Unchanged { .. }
    ));
}

#[test]
fn stale_run_does_not_roll_back() {
    // The source's history: three commits, one after the other.
    let source = TestRepository::bare();
    let revisions = ["one", "two", "three"].map(|word| source.commit(word, &[("x", Some(word))]));
    let history = history_in(&source.path());
    let test = TestRepository::bare();
    let run = |revision: usize, word: &str| {
        let mut request = request(&[environment("production", &[("web", word)])]);
        request.provenance.revision = Some(revisions[revision].to_string());
        request.history = &history;
        test.open().commit(&request)
    };
    committed(&run(1, "two").unwrap());
    // Another environment's and other people's commits in between change nothing.
    committed(
        &test
            .open()
            .commit(&request(&[environment("staging", &[("web", "x")])]))
            .unwrap(),
    );
    test.commit("by hand", &[("README", Some("More.\n"))]);
    let tip = test.tip();
    let error = run(0, "one").unwrap_err();
    let text = explain(&error)
        .replace(&revisions[0].to_string(), "REVISION-ONE")
        .replace(&revisions[1].to_string(), "REVISION-TWO");
    insta::assert_snapshot!(text, @r#"
    environment 'production' was rendered from REVISION-TWO, which is newer than this source, REVISION-ONE
      hint: render the newest source
    "#);
    assert_eq!(test.tip(), tip);
    // What a stale run would not change is no error.
    assert!(matches!(run(0, "two").unwrap(), Outcome::Unchanged { .. }));
    committed(&run(1, "two again").unwrap());
    committed(&run(2, "three").unwrap());
    assert!(matches!(run(1, "two"), Err(Error::Stale { .. })));
}

#[test]
fn source_is_found_behind_the_merge_that_brought_it() {
    let test = TestRepository::bare();
    let base = test.repository.find_commit(test.tip().unwrap()).unwrap();
    test.repository.branch("rendered", &base, false).unwrap();
    let location = Location::Path(test.path());
    let rendered = GitOpsRepository::open(&location, Some("rendered"), Access::default()).unwrap();
    let files = |word: &str| request(&[environment("production", &[("web", word)])]);
    let rendered = committed(&rendered.commit(&files("a")).unwrap());
    let rendered = test.repository.find_commit(rendered).unwrap();
    let main = test.commit("by hand", &[("README", Some("More.\n"))]);
    let main = test.repository.find_commit(main).unwrap();
    let mut merged = test
        .repository
        .merge_commits(&main, &rendered, None)
        .unwrap();
    let tree = merged.write_tree_to(&test.repository).unwrap();
    let tree = test.repository.find_tree(tree).unwrap();
    let who = git2::Signature::now("Somebody", "somebody@example.org").unwrap();
    test.repository
        .commit(
            Some("refs/heads/main"),
            &who,
            &who,
            "Merge",
            &tree,
            &[&main, &rendered],
        )
        .unwrap();
    let mut stale = files("b");
    stale.history = &|_, _| Relation::Newer;
    assert!(matches!(
        test.open().commit(&stale),
        Err(Error::Stale { .. })
    ));
    // The merge is no rollback.
    let mut same = files("b");
    same.history = &|_, _| Relation::Same;
    committed(&test.open().commit(&same).unwrap());
}

#[test]
fn rollback_holds_until_a_newer_source_comes() {
    let test = TestRepository::bare();
    let run = |word: &str, relation: &'static dyn Fn(&str, &str) -> Relation| {
        let mut request = request(&[environment("production", &[("web", word)])]);
        request.history = relation;
        test.open().commit(&request)
    };
    committed(&run("a", &crate::support::older).unwrap());
    let good = test.tip().unwrap();
    committed(&run("b", &crate::support::older).unwrap());
    // git revert
    let tree = test.repository.find_commit(good).unwrap().tree().unwrap();
    let who = git2::Signature::now("Somebody", "somebody@example.org").unwrap();
    let tip = test.repository.find_commit(test.tip().unwrap()).unwrap();
    let revert = test
        .repository
        .commit(
            Some("refs/heads/main"),
            &who,
            &who,
            "Revert",
            &tree,
            &[&tip],
        )
        .unwrap();
    let error = run("b", &|_, _| Relation::Same).unwrap_err();
    let text = explain(&error).replace(&revert.to_string(), "REVERT");
    insta::assert_snapshot!(text, @r#"
    environment 'production' was changed by commit REVERT after it was rendered from this source
      hint: it was rolled back, it seems: render a newer source, or revert that commit
    "#);
    assert!(matches!(
        run("b", &|_, _| Relation::Newer),
        Err(Error::Stale { .. })
    ));
    committed(&run("c", &crate::support::older).unwrap());
}

#[test]
fn source_that_the_history_does_not_know_stops_the_run_unless_allowed() {
    let test = TestRepository::bare();
    committed(
        &test
            .open()
            .commit(&request(&[environment("production", &[("web", "a")])]))
            .unwrap(),
    );
    let source = TestRepository::bare();
    let history = history_in(&source.path());
    let mut request = request(&[environment("production", &[("web", "b")])]);
    request.provenance.revision = Some(source.tip().unwrap().to_string());
    request.history = &history;
    insta::assert_snapshot!(explain(&test.open().commit(&request).unwrap_err()), @r#"
    environment 'production' was rendered from 1111111111111111111111111111111111111111, which this source's history does not have
      hint: fetch the source's whole history (a shallow clone lacks it)
    "#);
    // Nor does a source without a revision pass.
    let revision = request.provenance.revision.take();
    insta::assert_snapshot!(explain(&test.open().commit(&request).unwrap_err()), @r#"
    environment 'production' was rendered from 1111111111111111111111111111111111111111, and this source has no revision
      hint: render a commit of the flake's Git repository
    "#);
    request.provenance.revision = revision;
    request.allow.unknown_source = true;
    committed(&test.open().commit(&request).unwrap());
}

#[test]
fn work_tree_that_has_the_branch_follows_it() {
    let test = TestRepository::with_work_tree();
    let files = |workloads: &[(&str, &str)]| request(&[environment("production", workloads)]);
    fs::write(test.path().join("untracked"), "mine").unwrap();
    committed(
        &test
            .open()
            .commit(&files(&[("web", "a"), ("db", "b")]))
            .unwrap(),
    );
    committed(&test.open().commit(&files(&[("web", "c")])).unwrap());
    let manifest = fs::read_to_string(test.path().join(manifest_path("production", "web")));
    assert!(manifest.unwrap().ends_with("word: c\n"));
    assert!(!test.path().join("deploy/production/db").exists());
    assert_eq!(
        fs::read_to_string(test.path().join("untracked")).unwrap(),
        "mine"
    );
    let mut options = git2::StatusOptions::new();
    let statuses = test
        .repository
        .statuses(Some(options.include_untracked(false)))
        .unwrap();
    assert!(statuses.is_empty());
}

#[test]
fn work_in_a_work_tree_is_not_touched() {
    let test = TestRepository::with_work_tree();
    let tip = test.tip();
    let wanted = request(&[environment("production", &[("web", "a")])]);
    let say = |error: &Error| {
        explain(error).replace(
            test.path().canonicalize().unwrap().to_str().unwrap(),
            "WORK-TREE",
        )
    };
    fs::write(test.path().join("README"), "edited").unwrap();
    insta::assert_snapshot!(say(&test.open().commit(&wanted).unwrap_err()), @r#"
    'main' is checked out at 'WORK-TREE/', where 'README' has uncommitted changes
      hint: commit or stash what is there, or check out another branch
    "#);
    fs::write(test.path().join("README"), "Deployments.\n").unwrap();
    let path = test.path().join(manifest_path("production", "web"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "untracked").unwrap();
    insta::assert_snapshot!(say(&test.open().commit(&wanted).unwrap_err()), @r#"
    'main' is checked out at 'WORK-TREE/', where the untracked file 'deploy/production/web/NiphasWorkload-web.yaml' is in the way
      hint: commit or stash what is there, or check out another branch
    "#);
    assert_eq!(fs::read_to_string(&path).unwrap(), "untracked");
    assert_eq!(test.tip(), tip);
}

#[test]
fn branch_that_is_not_checked_out_is_written_beside_the_work_tree() {
    let test = TestRepository::with_work_tree();
    let tip = test.repository.find_commit(test.tip().unwrap()).unwrap();
    test.repository.branch("other", &tip, false).unwrap();
    test.repository.set_head("refs/heads/other").unwrap();
    fs::write(test.path().join("README"), "edited").unwrap();
    committed(
        &test
            .open()
            .commit(&request(&[environment("production", &[("web", "a")])]))
            .unwrap(),
    );
    assert_eq!(
        fs::read_to_string(test.path().join("README")).unwrap(),
        "edited"
    );
    assert!(!test.path().join("deploy").exists());
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let test = TestRepository::bare();
    let path = test.path();
    race(50, &|| open_main(&path));
    assert_nothing_lost(&test, 50);
}

#[test]
fn two_writers_of_one_work_tree_lose_nothing() {
    let test = TestRepository::with_work_tree();
    let path = test.path();
    race(10, &|| open_main(&path));
    assert_nothing_lost(&test, 10);
    let mut options = git2::StatusOptions::new();
    let statuses = test
        .repository
        .statuses(Some(options.include_untracked(true)))
        .unwrap();
    assert!(statuses.is_empty());
}

#[test]
fn repositories_that_cannot_be_written_to_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let test = TestRepository::bare();
    let open = |location: &Location, branch: &str| match GitOpsRepository::open(
        location,
        Some(branch),
        Access::default(),
    ) {
        Ok(_) => panic!("it opened"),
        Err(error) => explain(&error),
    };
    let missing = Location::Path(folder.path().join("none"));
    let here = Location::Path(test.path());
    let texts = [
        open(&missing, "main"),
        open(&here, "production"),
        open(&here, "a..b"),
    ];
    let text = texts
        .join("\n")
        .replace(folder.path().to_str().unwrap(), "FOLDER");
    insta::assert_snapshot!(text, @r#"
    cannot open the repository at 'FOLDER/none'
      because failed to resolve path 'FOLDER/none': No such file or directory
      hint: make one with 'git init', or give the path of an existing one
    the repository has no branch 'production'; it has: main
      hint: create the branch first, or name another
    'a..b' cannot be the name of a branch
    "#);
}

#[test]
fn password_in_an_address_is_refused() {
    let address = "https://user:secret@example.org/deploy.git";
    assert_eq!(address.parse::<Location>(), Err(BadLocation::Password));
}

#[test]
fn pipes_in_a_repository_are_refused_where_git_reads_them() {
    for pipe in [".git/HEAD", ".git/config", ".gitattributes", ".gitignore"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        init(&path, "main").unwrap();
        let _ = fs::remove_file(path.join(pipe));
        let mut mkfifo = std::process::Command::new("mkfifo");
        let made = mkfifo.arg(path.join(pipe)).status();
        assert!(made.unwrap().success());
        let location = Location::Path(path.clone());
        let (done, opened) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let opened = GitOpsRepository::open(&location, None, Access::default());
            done.send(opened.map(drop))
        });
        let opened = opened.recv_timeout(std::time::Duration::from_secs(20));
        let error = opened.expect("it waits for a pipe").unwrap_err();
        assert!(
            explain(&error).contains("expected a regular file, found a pipe"),
            "{pipe}: {}",
            explain(&error)
        );
    }
}
