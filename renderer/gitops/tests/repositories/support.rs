//! Repositories to write to, and what to write.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "each test file uses its part"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use git2::{Oid, Repository, Signature, Sort};
use niphas_gitops::{
    Access, Allowed, Author, Error, GitOpsRepository, Location, Outcome, Owner, Provenance,
    Relation, Request,
};
use niphas_render::RenderedEnvironment;
use tempfile::TempDir;

/// An environment with these workloads: their names, and a word that stands in their manifests.
pub(crate) fn environment(name: &str, workloads: &[(&str, &str)]) -> RenderedEnvironment {
    let mut files = BTreeMap::new();
    for (workload, word) in workloads {
        let manifest = format!(
            "kind: NiphasWorkload\nmetadata:\n  annotations:\n    niphas.io/environment: {name}\n  \
             name: {workload}\nspec:\n  word: {word}\n"
        );
        files.insert(manifest_path(name, workload), manifest.into_bytes());
        let closure = format!(".niphas/{name}/closures/{workload}.x86_64-linux.txt");
        files.insert(closure, format!("{word}\n").into_bytes());
    }
    RenderedEnvironment {
        name: name.to_owned(),
        files,
    }
}

pub(crate) fn manifest_path(environment: &str, workload: &str) -> String {
    format!("deploy/{environment}/{workload}/NiphasWorkload-{workload}.yaml")
}

pub(crate) fn older(_: &str, _: &str) -> Relation {
    Relation::Older
}

pub(crate) fn request(environments: &[RenderedEnvironment]) -> Request<'static> {
    Request {
        environments: environments
            .iter()
            .map(|environment| (environment.name.clone(), environment.clone()))
            .collect(),
        provenance: Provenance {
            owner: Owner::new("https://example.org/shop.git", ""),
            repository: "https://example.org/shop.git".to_owned(),
            revision: Some("1111111111111111111111111111111111111111".to_owned()),
            flake_lock: Some("sha256:00".to_owned()),
            renderer: "niphas 0.1.0".to_owned(),
        },
        history: &older,
        author: Some(Author {
            name: "CI".to_owned(),
            email: "ci@example.org".to_owned(),
        }),
        subject: None,
        signing_key: None,
        allow: Allowed::default(),
        all_environments: None,
        prune: false,
    }
}

/// What an error says, and the causes below it.
pub(crate) fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        write!(text, "\n  because {error}").unwrap();
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        write!(text, "\n  hint: {hint}").unwrap();
    }
    text
}

/// A repository in a temporary folder, with one commit on `main` that has a README.
pub(crate) struct TestRepository {
    pub(crate) folder: TempDir,
    pub(crate) repository: Repository,
}

impl TestRepository {
    pub(crate) fn bare() -> Self {
        Self::new(true, true)
    }

    pub(crate) fn empty() -> Self {
        Self::new(true, false)
    }

    pub(crate) fn with_work_tree() -> Self {
        let test = Self::new(false, true);
        let mut checkout = git2::build::CheckoutBuilder::new();
        test.repository
            .checkout_head(Some(checkout.force()))
            .unwrap();
        test
    }

    fn new(bare: bool, first_commit: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(bare).initial_head("main");
        let repository = Repository::init_opts(folder.path().join("deploy"), &options).unwrap();
        let test = Self { folder, repository };
        if first_commit {
            test.commit("by hand", &[("README", Some("Deployments.\n"))]);
        }
        test
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("deploy")
    }

    pub(crate) fn open(&self) -> GitOpsRepository {
        open_main(&self.path())
    }

    /// A commit by another user: sets files, or removes them.
    pub(crate) fn commit(&self, message: &str, files: &[(&str, Option<&str>)]) -> Oid {
        let parents: Vec<Oid> = self.tip().into_iter().collect();
        self.commit_on("main", &parents, message, files)
    }

    /// The same on any branch, on top of any commits; the files are those of the first.
    pub(crate) fn commit_on(
        &self,
        branch: &str,
        parents: &[Oid],
        message: &str,
        files: &[(&str, Option<&str>)],
    ) -> Oid {
        let repository = &self.repository;
        let parents: Vec<_> = parents
            .iter()
            .map(|parent| repository.find_commit(*parent).unwrap())
            .collect();
        let base = match parents.first() {
            Some(parent) => parent.tree_id(),
            None => repository.treebuilder(None).unwrap().write().unwrap(),
        };
        let base = repository.find_tree(base).unwrap();
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, text) in files {
            match text {
                Some(text) => {
                    let blob = repository.blob(text.as_bytes()).unwrap();
                    update.upsert(*path, blob, git2::FileMode::Blob);
                }
                None => {
                    update.remove(*path);
                }
            }
        }
        let tree = update.create_updated(repository, &base).unwrap();
        let tree = repository.find_tree(tree).unwrap();
        let who = Signature::now("Somebody", "somebody@example.org").unwrap();
        let parents: Vec<_> = parents.iter().collect();
        let commit = repository
            .commit(None, &who, &who, message, &tree, &parents)
            .unwrap();
        repository
            .reference(&format!("refs/heads/{branch}"), commit, true, "test")
            .unwrap();
        commit
    }

    pub(crate) fn tip(&self) -> Option<Oid> {
        self.tip_of("main")
    }

    pub(crate) fn tip_of(&self, branch: &str) -> Option<Oid> {
        let name = format!("refs/heads/{branch}");
        self.repository.refname_to_id(&name).ok()
    }

    pub(crate) fn message(&self) -> String {
        let tip = self.repository.find_commit(self.tip().unwrap()).unwrap();
        tip.message().unwrap().to_owned()
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        let tree = self
            .repository
            .find_commit(self.tip()?)
            .unwrap()
            .tree()
            .unwrap();
        let entry = tree.get_path(Path::new(path)).ok()?;
        let blob = self.repository.find_blob(entry.id()).ok()?;
        Some(String::from_utf8(blob.content().to_vec()).unwrap())
    }

    /// The paths of all files at the tip.
    pub(crate) fn files(&self) -> Vec<String> {
        let tree = self
            .repository
            .find_commit(self.tip().unwrap())
            .unwrap()
            .tree()
            .unwrap();
        let mut files = Vec::new();
        tree.walk(git2::TreeWalkMode::PreOrder, |folder, entry| {
            if entry.kind() == Some(git2::ObjectType::Blob) {
                files.push(format!("{folder}{}", entry.name().unwrap()));
            }
            git2::TreeWalkResult::Ok
        })
        .unwrap();
        files.sort();
        files
    }

    /// The number of commits; each must have one parent at most.
    pub(crate) fn linear_history(&self) -> usize {
        let mut walk = self.repository.revwalk().unwrap();
        walk.set_sorting(Sort::TOPOLOGICAL).unwrap();
        walk.push(self.tip().unwrap()).unwrap();
        walk.map(|id| self.repository.find_commit(id.unwrap()).unwrap())
            .inspect(|commit| assert!(commit.parent_count() <= 1, "{} is a merge", commit.id()))
            .count()
    }
}

pub(crate) fn open_main(path: &Path) -> GitOpsRepository {
    let location = Location::Path(path.to_owned());
    GitOpsRepository::open(&location, Some("main"), Access::default()).unwrap()
}

pub(crate) fn committed(outcome: &Outcome) -> Oid {
    match outcome {
        Outcome::Committed { commit, .. } => *commit,
        outcome => panic!("nothing was committed: {outcome:?}"),
    }
}

/// Two writers at once, each with an environment of its own, `rounds` commits each.
pub(crate) fn race(rounds: usize, open: &(dyn Fn() -> GitOpsRepository + Sync)) {
    std::thread::scope(|scope| {
        for name in ["production", "staging"] {
            scope.spawn(move || {
                for round in 0..rounds {
                    let word = format!("{name}-{round}");
                    let files = environment(name, &[("web", &word), (&format!("w{round}"), "x")]);
                    committed(&open().commit(&request(&[files])).unwrap());
                }
            });
        }
    });
}

/// What [`race`] must leave behind, on top of the first commit.
pub(crate) fn assert_nothing_lost(test: &TestRepository, rounds: usize) {
    assert_eq!(test.linear_history(), 1 + 2 * rounds);
    let last = rounds - 1;
    for name in ["production", "staging"] {
        let manifest = test.read(&manifest_path(name, "web")).unwrap();
        assert!(
            manifest.ends_with(&format!("  word: {name}-{last}\n")),
            "{manifest}"
        );
        assert!(
            test.read(&manifest_path(name, &format!("w{last}")))
                .is_some()
        );
    }
    // The workloads of earlier rounds were pruned: README, the attributes, and five files for each environment.
    assert_eq!(test.files().len(), 12, "{:?}", test.files());
}
