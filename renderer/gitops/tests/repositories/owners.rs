//! Whose environments are: those of other flakes, and those that a flake has no more.

use std::path::Path;

use niphas_gitops::{Error, Outcome, Owner, Relation};

use crate::support::{TestRepository, committed, environment, explain, request};

#[test]
fn environments_of_another_flake_are_replaced_only_when_they_are_taken_over() {
    let test = TestRepository::bare();
    let first = request(&[environment("production", &[("web", "a")])]);
    committed(&test.open().commit(&first).unwrap());
    let mut second = request(&[environment("production", &[("billing", "b")])]);
    second.provenance.owner = Owner::new("https://example.org/shop.git", "apps/billing");
    // Whatever else is allowed.
    second.allow.unknown_source = true;
    second.allow.empty = true;
    let tip = test.tip();
    insta::assert_snapshot!(explain(&test.open().commit(&second).unwrap_err()), @r#"
    environment 'production' in the repository belongs to the flake example.org/shop; this flake is example.org/shop?dir=apps/billing
      hint: names of environments are unique in a GitOps repository: give this one another name, or use a repository for each flake
    "#);
    assert_eq!(test.tip(), tip);
    // Nor may it empty it.
    let mut emptied = request(&[environment("production", &[])]);
    emptied.provenance.owner = second.provenance.owner.clone();
    emptied.allow.empty = true;
    assert!(matches!(
        test.open().plan(&emptied),
        Err(Error::OtherOwner { .. })
    ));
    second.allow.other_owner = true;
    committed(&test.open().commit(&second).unwrap());
    assert!(matches!(
        test.open().commit(&first),
        Err(Error::OtherOwner { .. })
    ));
    // Its own name in other letters is no other flake's.
    let mut loud = request(&[environment("production", &[("billing", "b")])]);
    loud.provenance.owner = Owner::new("git@example.org:SHOP", "apps/billing");
    assert!(matches!(
        test.open().commit(&loud).unwrap(),
        Outcome::Unchanged { .. }
    ));
}

#[test]
fn the_first_commit_of_a_repository_says_nothing_of_environments_that_came_later() {
    let test = TestRepository::empty();
    let first = request(&[environment("production", &[("web", "a")])]);
    committed(&test.open().commit(&first).unwrap());
    // Another flake, whose history does not have the revision of the first.
    let mut other = request(&[environment("billing", &[("web", "a")])]);
    other.provenance.owner = Owner::new("https://example.org/billing.git", "");
    other.provenance.revision = Some("3".repeat(40));
    other.history = &|_, _| Relation::Unknown;
    committed(&test.open().commit(&other).unwrap());
}

#[test]
fn environments_that_the_flake_has_no_more_are_named_and_removed_on_request() {
    let test = TestRepository::bare();
    let all = ["production", "staging", "test"].map(|name| environment(name, &[("web", "a")]));
    committed(
        &test
            .open()
            .commit(&request(&[all[0].clone(), all[2].clone()]))
            .unwrap(),
    );
    let mut newer = request(&all[1..2]);
    newer.provenance.revision = Some("2".repeat(40));
    committed(&test.open().commit(&newer).unwrap());
    let mut other = request(&[environment("billing", &[("web", "a")])]);
    other.provenance.owner = Owner::new("https://example.org/billing", "");
    committed(&test.open().commit(&other).unwrap());

    let mut request = request(&all[..1]);
    request.all_environments = Some(["production".to_owned(), "test".to_owned()].into());
    let Outcome::Unchanged { gone, tip } = test.open().commit(&request).unwrap() else {
        panic!("nothing was asked for")
    };
    assert_eq!(gone, ["staging"]);
    let names = request.all_environments.clone().unwrap();
    let owner = &request.provenance.owner;
    assert_eq!(test.open().gone(tip.unwrap(), owner, &names).unwrap(), gone);
    assert_eq!(
        test.open().environments(tip.unwrap()).unwrap(),
        ["billing", "production", "staging", "test"]
    );

    request.prune = true;
    // A run that is older than the environment does not remove it.
    request.history = &|_, recorded| match recorded.as_bytes()[0] {
        b'2' => Relation::Newer,
        _ => Relation::Older,
    };
    assert!(matches!(
        test.open().commit(&request),
        Err(Error::Stale { environment, .. }) if environment == "staging"
    ));
    request.history = &crate::support::older;
    let plan = test.open().plan(&request).unwrap();
    assert_eq!(plan.gone, ["staging"]);
    committed(&test.open().commit(&request).unwrap());
    let tip = test.repository.find_commit(test.tip().unwrap()).unwrap();
    assert!(
        tip.message()
            .unwrap()
            .starts_with("niphas: render production, staging\n")
    );
    let tree = tip.tree().unwrap();
    for (path, stays) in [
        (".niphas/staging.lock", false),
        (".niphas/staging", false),
        ("deploy/staging", false),
        (".niphas/test.lock", true),
        ("deploy/production", true),
        ("deploy/billing", true),
    ] {
        assert_eq!(tree.get_path(Path::new(path)).is_ok(), stays, "{path}");
    }
    let Outcome::Unchanged { gone, .. } = test.open().commit(&request).unwrap() else {
        panic!("it is removed already")
    };
    assert_eq!(gone, [""; 0]);
}

/// A repository is written by others as well.
#[test]
fn locks_of_others_that_cannot_be_read_keep_nothing_from_being_rendered() {
    let test = TestRepository::bare();
    let production = [environment("production", &[("web", "a")])];
    committed(&test.open().commit(&request(&production)).unwrap());
    let lock = |name: &str| format!(".niphas/{name}.lock");
    let huge = " ".repeat(16 * 1024 * 1024 + 1);
    test.commit(
        "by others",
        &[
            (&lock("huge"), Some(&huge)),
            (&lock("damaged"), Some("{")),
            (&lock("Not\u{1b}[2J"), Some("{}")),
        ],
    );
    let mut request = request(&production);
    request.all_environments = Some(["production".to_owned()].into());
    let Outcome::Unchanged { gone, tip } = test.open().commit(&request).unwrap() else {
        panic!("nothing was asked for")
    };
    assert_eq!(gone, [""; 0]);
    assert_eq!(
        test.open().environments(tip.unwrap()).unwrap(),
        ["damaged", "huge", "production"]
    );
}
