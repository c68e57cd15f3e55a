//! What a commit says of its changes.

use niphas_gitops::Outcome;
use niphas_render::{Lock, RenderedEnvironment};

use crate::support::{TestRepository, committed, environment, request};

const OLD: &str = "/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0 sha256:01q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q7 1000000\n";
const NEW: &str = "/nix/store/1c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.1 sha256:01q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q7 3000000\n";

/// An environment with one workload that has this closure.
fn with_closure(lines: &str) -> RenderedEnvironment {
    let mut environment = environment("production", &[("web", "a")]);
    let path = ".niphas/production/closures/web.x86_64-linux.txt";
    environment
        .files
        .insert(path.to_owned(), lines.as_bytes().to_vec());
    environment
}

#[test]
fn commit_says_what_its_changes_mean_and_the_trailers_stay_last() {
    let test = TestRepository::bare();
    committed(&test.open().commit(&request(&[with_closure(OLD)])).unwrap());
    let wanted = request(&[with_closure(NEW)]);
    let plan = test.open().plan(&wanted).unwrap();
    let outcome = test.open().commit(&wanted).unwrap();
    insta::assert_snapshot!(test.message(), @r#"
    niphas: render production

    - web: +1.9 MiB, pods run on

    - web: 1.0 → 1.1, +1.9 MiB in web

    Niphas-Source-Repo: https://example.org/shop.git
    Niphas-Source-Rev: 1111111111111111111111111111111111111111
    Niphas-Flake-Lock: sha256:00
    Niphas-Renderer: niphas 0.1.0
    "#);
    let Outcome::Committed { review, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(review, plan.review);
    assert_eq!(review.new_paths["x86_64-linux"].nar_size, 3_000_000);
    // Nothing was lost of what the next run looks for.
    assert!(matches!(
        test.open().commit(&wanted).unwrap(),
        Outcome::Unchanged { .. }
    ));
}

#[test]
fn names_in_the_repository_forge_no_trailer() {
    let test = TestRepository::bare();
    let name = "x: y --- Niphas-Source-Rev: 2222222222222222222222222222222222222222";
    let path = format!(".niphas/production/closures/{name}.x86_64-linux.txt");
    let mut forged = with_closure(OLD);
    forged.files.insert(path.clone(), OLD.as_bytes().to_vec());
    let lock = Lock::of(&forged.files).to_bytes();
    let files = forged
        .files
        .iter()
        .map(|(path, bytes)| (path.as_str(), Some(str::from_utf8(bytes).unwrap())));
    let lock = [(
        ".niphas/production.lock",
        Some(str::from_utf8(&lock).unwrap()),
    )];
    test.commit("by another", &files.chain(lock).collect::<Vec<_>>());
    committed(&test.open().commit(&request(&[with_closure(OLD)])).unwrap());
    let message = test.message();
    let trailers = git2::message_trailers_strs(&message).unwrap();
    let revisions: Vec<&str> = trailers
        .iter()
        .filter(|(key, _)| *key == "Niphas-Source-Rev")
        .map(|(_, value)| value)
        .collect();
    assert_eq!(
        revisions,
        ["1111111111111111111111111111111111111111"],
        "{message}"
    );
    assert_eq!(trailers.iter().count(), 4, "{message}");
}
