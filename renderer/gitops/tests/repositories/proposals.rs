//! Branches for changes that others merge, on this machine and on a server.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use git2::Oid;
use niphas_gitops::{Access, Error, GitOpsRepository, Location, Outcome, Owner, Relation, Request};
use niphas_render::RenderedEnvironment;

use crate::http::Server;
use crate::support::{TestRepository, committed, environment, explain, manifest_path, request};

const BRANCH: &str = "niphas/update";

/// Runs a test on a repository on this machine, and on one behind a server.
fn on_each(test: impl Fn(&TestRepository, &dyn Fn() -> GitOpsRepository)) {
    let local = TestRepository::bare();
    test(&local, &|| local.open().proposing_on(BRANCH).unwrap());
    let remote = TestRepository::bare();
    let server = Server::start(remote.folder.path(), None);
    test(&remote, &|| on_server(&server, BRANCH));
}

fn on_server(server: &Server, branch: &str) -> GitOpsRepository {
    let location = Location::Remote(server.url("deploy"));
    let repository = GitOpsRepository::open(&location, None, Access::default()).unwrap();
    repository.proposing_on(branch).unwrap()
}

fn production(word: &str) -> RenderedEnvironment {
    environment("production", &[("web", word)])
}

/// The branch's tip, and the commits that it has beyond main.
fn branch(test: &TestRepository) -> (Oid, usize) {
    let tip = test.tip_of(BRANCH).unwrap();
    let (own, _) = test
        .repository
        .graph_ahead_behind(tip, test.tip().unwrap())
        .unwrap();
    (tip, own)
}

fn file_on_branch(test: &TestRepository, path: &str) -> Option<String> {
    let commit = test.repository.find_commit(branch(test).0).unwrap();
    let entry = commit.tree().unwrap().get_path(path.as_ref()).ok()?;
    let blob = test.repository.find_blob(entry.id()).unwrap();
    Some(String::from_utf8(blob.content().to_vec()).unwrap())
}

fn replaced(outcome: &Outcome) -> Option<Oid> {
    match outcome {
        Outcome::Committed { replaced, .. } => *replaced,
        outcome => panic!("nothing was committed: {outcome:?}"),
    }
}

#[test]
fn a_change_goes_to_the_branch_and_each_run_makes_it_again() {
    on_each(|test, open| {
        let base = test.tip().unwrap();
        let mut first = request(&[production("a")]);
        first.subject = Some("shop: first prices".parse().unwrap());
        let outcome = open().commit(&first).unwrap();
        let commit = committed(&outcome);
        assert_eq!(replaced(&outcome), None);
        assert_eq!((test.tip(), branch(test)), (Some(base), (commit, 1)));
        let message = test.repository.find_commit(commit).unwrap();
        let message = message.message().unwrap();
        assert!(
            message.starts_with("shop: first prices\n\n- web: added\n\nNiphas-Source-Repo: "),
            "{message}"
        );
        // The same change again, also where the base has other commits meanwhile.
        for _ in 0..2 {
            let outcome = open().commit(&first).unwrap();
            let tip = Some(commit);
            let gone = Vec::new();
            assert_eq!(outcome, Outcome::Unchanged { tip, gone });
            let plan = open().plan(&first).unwrap();
            assert_eq!((plan.changes, plan.diff.as_str()), (vec![], ""));
            test.commit("by hand", &[("README", Some("Read me.\n"))]);
        }
        let outcome = open().commit(&request(&[production("b")])).unwrap();
        assert_eq!(replaced(&outcome), Some(commit));
        let tip = committed(&outcome);
        assert_eq!(branch(test), (tip, 1));
        let tip = test.repository.find_commit(tip).unwrap();
        assert_eq!(tip.parent_id(0).ok(), test.tip());
        assert_eq!(file_on_branch(test, "README").unwrap(), "Read me.\n");
    });
}

#[test]
fn a_change_that_was_merged_is_not_made_again() {
    on_each(|test, open| {
        let first = request(&[production("a")]);
        let commit = committed(&open().commit(&first).unwrap());
        test.repository
            .reference("refs/heads/main", commit, true, "merged")
            .unwrap();
        let not_needed = Outcome::NotNeeded {
            base: commit,
            withdrawn: None,
            gone: Vec::new(),
        };
        assert_eq!(open().commit(&first).unwrap(), not_needed);
        // The next goes on from there.
        let outcome = open().commit(&request(&[production("b")])).unwrap();
        assert_eq!(replaced(&outcome), None);
        assert_eq!(branch(test), (committed(&outcome), 1));
        // Merged as a commit of the server's own.
        let manifest = file_on_branch(test, &manifest_path("production", "web")).unwrap();
        let lock = file_on_branch(test, ".niphas/production.lock").unwrap();
        let closure = ".niphas/production/closures/web.x86_64-linux.txt";
        let squashed = test.commit(
            "squashed (#1)",
            &[
                (&manifest_path("production", "web"), Some(&manifest)),
                (".niphas/production.lock", Some(&lock)),
                (closure, Some("b\n")),
            ],
        );
        let outcome = open().commit(&request(&[production("b")])).unwrap();
        assert!(
            matches!(outcome, Outcome::NotNeeded { base, withdrawn: Some(_), .. } if base == squashed),
            "{outcome:?}"
        );
        assert_eq!(branch(test), (squashed, 0));
    });
}

#[test]
fn a_change_that_is_taken_back_is_taken_off_the_branch() {
    on_each(|test, open| {
        let base = committed(&test.open().commit(&request(&[production("a")])).unwrap());
        let commit = committed(&open().commit(&request(&[production("b")])).unwrap());
        let again = request(&[production("a")]);
        let plan = open().plan(&again).unwrap();
        assert!(plan.withdraws && plan.changes.is_empty());
        assert_eq!(branch(test), (commit, 1));
        let outcome = open().commit(&again).unwrap();
        let withdrawn = Outcome::NotNeeded {
            base,
            withdrawn: Some(commit),
            gone: Vec::new(),
        };
        assert_eq!(outcome, withdrawn);
        assert_eq!(branch(test), (base, 0));
        assert!(!open().plan(&again).unwrap().withdraws);
    });
}

/// What others did to the branch, and whether niphas made all that is on it.
#[test]
fn commits_of_others_are_never_replaced() {
    let manifest = manifest_path("production", "web");
    let notes = [("notes", Some("mine"))];
    let edited = [(manifest.as_str(), Some("mine"))];
    let removed = [(manifest.as_str(), None)];
    let forged = [(".niphas/production.lock", Some("{}"))];
    let trailers = "x\n\nNiphas-Source-Rev: 1\nNiphas-Renderer: niphas 0.1.0\n";
    for (what, message, files, amends) in [
        ("on top", "by hand", &notes, false),
        ("on top, with trailers", trailers, &notes, false),
        ("amended", trailers, &notes, true),
        ("edited", trailers, &edited, true),
        ("removed", trailers, &removed, false),
        ("lock", trailers, &forged, true),
        ("message", "by hand", &notes, true),
    ] {
        on_each(|test, open| {
            let commit = committed(&open().commit(&request(&[production("a")])).unwrap());
            // An amended commit has the files of the one that it replaces.
            let theirs = test.commit_on(BRANCH, &[commit], message, files);
            let theirs = if amends {
                let tree = test.repository.find_commit(theirs).unwrap().tree().unwrap();
                let base = test.repository.find_commit(test.tip().unwrap()).unwrap();
                let who = base.author();
                let amended = test
                    .repository
                    .commit(None, &who, &who, message, &tree, &[&base])
                    .unwrap();
                let name = format!("refs/heads/{BRANCH}");
                test.repository
                    .reference(&name, amended, true, "amended")
                    .unwrap();
                amended
            } else {
                theirs
            };
            for word in ["b", "c"] {
                let error = open().commit(&request(&[production(word)])).unwrap_err();
                assert!(
                    matches!(error, Error::ForeignCommit { commit, .. } if commit == theirs),
                    "{what}: {error:?}"
                );
            }
            assert_eq!(test.tip_of(BRANCH), Some(theirs), "{what}");
        });
    }
    let error = Error::ForeignCommit {
        branch: BRANCH.to_owned(),
        commit: Oid::ZERO_SHA1,
    };
    insta::assert_snapshot!(explain(&error), @r#"
    branch 'niphas/update' has a commit that niphas did not make: 0000000000000000000000000000000000000000
      hint: niphas makes the branch again on each run, and keeps commits of others: merge or delete the branch, or give another name
    "#);
}

#[test]
fn merges_into_the_branch_are_never_replaced() {
    on_each(|test, open| {
        let commit = committed(&open().commit(&request(&[production("a")])).unwrap());
        let main = test.commit("by hand", &[("README", Some("Read me.\n"))]);
        let merge = test.commit_on(BRANCH, &[commit, main], "Merge branch 'main'", &[]);
        let error = open().commit(&request(&[production("b")])).unwrap_err();
        assert!(matches!(error, Error::ForeignCommit { commit, .. } if commit == merge));
        assert_eq!(test.tip_of(BRANCH), Some(merge));
    });
}

/// A commit that comes between reading the branch and pushing to it.
#[test]
fn a_commit_that_comes_at_the_last_moment_is_not_replaced() {
    for is_there in [true, false] {
        on_each(|test, open| {
            committed(&test.open().commit(&request(&[production("a")])).unwrap());
            if is_there {
                committed(&open().commit(&request(&[production("b")])).unwrap());
            }
            let theirs = Cell::new(None);
            let history = |_: &str, _: &str| {
                if theirs.get().is_none() {
                    let on = test.tip_of(BRANCH).or(test.tip()).unwrap();
                    let commit = test.commit_on(BRANCH, &[on], "by hand", &[("notes", Some("x"))]);
                    theirs.set(Some(commit));
                }
                Relation::Older
            };
            let mut late = request(&[production("c")]);
            late.history = &history;
            let error = open().commit(&late).unwrap_err();
            assert!(
                matches!(error, Error::ForeignCommit { commit, .. } if Some(commit) == theirs.get()),
                "{error:?}"
            );
            assert_eq!(test.tip_of(BRANCH), theirs.get());
        });
    }
}

#[test]
fn changes_of_other_runs_are_never_replaced() {
    on_each(|test, open| {
        let staging = || request(&[environment("staging", &[("web", "a")])]);
        let theirs = committed(&open().commit(&staging()).unwrap());
        let refused = |request: &Request<'_>| {
            let error = open().commit(request).unwrap_err();
            assert_eq!(test.tip_of(BRANCH), Some(theirs));
            error
        };
        // Another environment's, for it was rendered alone, or by another flake.
        let mut production = request(&[production("a")]);
        let error = refused(&production);
        insta::allow_duplicates! {
            insta::assert_snapshot!(explain(&error), @r#"
            branch 'niphas/update' has changes of environment 'staging', which this run does not render
              hint: give each flake, and each selection of environments, a branch of its own; or merge or delete this one
            "#);
        }
        production.all_environments = Some(["production".to_owned()].into());
        production.provenance.owner = Owner::new("https://example.org/billing", "");
        assert!(matches!(
            refused(&production),
            Error::OtherProposal { environment, .. } if environment == "staging"
        ));
        // One of the same name.
        let mut other = request(&[environment("staging", &[("web", "b")])]);
        other.provenance.owner = Owner::new("https://example.org/billing", "");
        assert!(matches!(refused(&other), Error::OtherOwner { .. }));
        // A newer source's.
        let mut older = request(&[environment("staging", &[("web", "b")])]);
        older.history = &|_, _| Relation::Newer;
        assert!(matches!(refused(&older), Error::Stale { .. }));
        // One that the flake has no more is replaced.
        production.provenance.owner = staging().provenance.owner;
        let outcome = open().commit(&production).unwrap();
        assert_eq!(replaced(&outcome), Some(theirs));
        assert_eq!(file_on_branch(test, ".niphas/staging.lock"), None);
    });
}

#[test]
fn a_run_with_nothing_to_change_leaves_the_changes_of_others() {
    on_each(|test, open| {
        let production = request(&[production("a")]);
        let base = committed(&test.open().commit(&production).unwrap());
        let staging = request(&[environment("staging", &[("web", "a")])]);
        let theirs = committed(&open().commit(&staging).unwrap());
        let not_needed = Outcome::NotNeeded {
            base,
            withdrawn: None,
            gone: Vec::new(),
        };
        assert_eq!(open().commit(&production).unwrap(), not_needed);
        assert_eq!(test.tip_of(BRANCH), Some(theirs));
    });
}

#[test]
fn names_that_no_branch_can_have_are_refused() {
    let test = TestRepository::bare();
    let server = Server::start(test.folder.path(), None);
    let open = |name: &str| test.open().proposing_on(name).map(|_| ()).unwrap_err();
    let mut said = vec![open("a..b"), open("main"), open("main/x")];
    let wanted = request(&[production("a")]);
    said.push(on_server(&server, "main/x").commit(&wanted).unwrap_err());
    test.commit_on("niphas/update", &[test.tip().unwrap()], "by hand", &[]);
    said.push(open("niphas"));
    said.push(on_server(&server, "niphas").commit(&wanted).unwrap_err());
    let empty = TestRepository::empty();
    let server = Server::start(empty.folder.path(), None);
    let location = Location::Remote(server.url("deploy"));
    let remote = GitOpsRepository::open(&location, Some("main"), Access::default()).unwrap();
    let remote = remote.proposing_on(BRANCH).unwrap();
    let local = empty.open().proposing_on(BRANCH).unwrap();
    said.push(local.commit(&wanted).unwrap_err());
    said.push(remote.plan(&wanted).unwrap_err());
    assert_eq!(empty.tip_of(BRANCH), None);
    let said: Vec<String> = said.iter().map(explain).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    'a..b' cannot be the name of a branch
    branch 'main' cannot be created from itself
      hint: give another name, or name the branch to create it from
    branch 'main/x' cannot be created beside the branch 'main'
      hint: give it another name
    branch 'main/x' cannot be created beside the branch 'main'
      hint: give it another name
    branch 'niphas' cannot be created beside the branch 'niphas/update'
      hint: give it another name
    branch 'niphas' cannot be created beside the branch 'niphas/update'
      hint: give it another name
    branch 'niphas/update' cannot be created: 'main' has no commit yet
      hint: render to that branch first
    branch 'niphas/update' cannot be created: 'main' has no commit yet
      hint: render to that branch first
    "#);
}

#[test]
fn a_server_that_takes_no_force_is_reported() {
    let test = TestRepository::bare();
    let server = Server::start(test.folder.path(), None);
    let open = || on_server(&server, BRANCH);
    let commit = committed(&open().commit(&request(&[production("a")])).unwrap());
    let mut config = test.repository.config().unwrap();
    config
        .set_bool("receive.denyNonFastForwards", true)
        .unwrap();
    let error = open().commit(&request(&[production("b")])).unwrap_err();
    insta::assert_snapshot!(explain(&error), @r#"
    the repository refused the push to 'niphas/update': non-fast-forward
    the server said:
      error: denying non-fast-forward refs/heads/niphas/update (you should pull first)
      hint: let niphas create branches of this name, and push to them by force: it replaces its own commits there
    "#);
    let hook = test.path().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let error = open().commit(&request(&[production("b")])).unwrap_err();
    assert!(matches!(error, Error::Refused { by_force: true, .. }));
    assert_eq!(test.tip_of(BRANCH), Some(commit));
}

#[test]
fn a_checked_out_branch_follows_with_its_work_tree() {
    let test = TestRepository::with_work_tree();
    let open = || test.open().proposing_on(BRANCH).unwrap();
    committed(&open().commit(&request(&[production("a")])).unwrap());
    let file = test.path().join(manifest_path("production", "web"));
    assert!(!file.exists(), "main is checked out");
    test.repository
        .set_head(&format!("refs/heads/{BRANCH}"))
        .unwrap();
    let mut checkout = git2::build::CheckoutBuilder::new();
    test.repository
        .checkout_head(Some(checkout.force()))
        .unwrap();
    committed(&open().commit(&request(&[production("b")])).unwrap());
    assert!(fs::read_to_string(&file).unwrap().ends_with("word: b\n"));
    fs::write(&file, "mine").unwrap();
    let error = open().commit(&request(&[production("c")])).unwrap_err();
    assert!(matches!(error, Error::DirtyWorkTree { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

/// Two runs at once for one branch: each makes it again from the base, or sees that it is there.
#[test]
fn two_writers_at_once_leave_one_commit() {
    on_each(|test, _| {
        let server = Server::start(test.folder.path(), None);
        std::thread::scope(|scope| {
            for word in ["a", "b"] {
                let server = &server;
                scope.spawn(move || {
                    for round in 0..10 {
                        let wanted = request(&[production(&format!("{word}{round}"))]);
                        on_server(server, BRANCH).commit(&wanted).unwrap();
                    }
                });
            }
        });
        assert_eq!(branch(test).1, 1);
    });
}
