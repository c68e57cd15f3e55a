//! The whole way of a run through the library, as a program that renders goes it: what is known, what is reported, and what
//! fails how.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use binary_cache::{Caches, ClosureError, Limits};
use niphas_environments::{
    Access, BranchObjects, Environments, EvaluatedEnvironments, Evaluation, EvaluationError,
    KnownEnvironments, LastRendering, OpenedFlake, Origin, RenderKey, RepositoryKey, ResolveError,
    Step, render, resolve,
};
use niphas_gitops::{Allowed, Author, GitOpsRepository, Location, Outcome, Provenance, Request};
use niphas_render::Form;
use nix_evaluator::{ErrorKind, Settings};
use nix_flake::{FetchSettings, Fetcher, FlakeRef, LockOptions, ParseOptions};
use nix_formats::{PublicKey, PublicKeys, StoreDir};
use tempfile::TempDir;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/hello");
/// A path of the example's cache.
const HELLO: &str = "/nix/store/pfg47v46abskcgxy7sk1rycy7573c49f-hello-1.0";

/// Environments with one workload each, which refers to a store path and reads a file.
const FLAKE: &str = r#"{
  outputs = { self }:
    let
      environment = message: builtins.trace message (plain // {
        positions.web = builtins.unsafeGetAttrPos "web" plain.workloads;
      });
      plain = {
        _type = "niphas-environment";
        version = 1;
        namespace = "shop";
        systems = [ "x86_64-linux" ];
        workloads.web.x86_64-linux = {
          package = builtins.appendContext "%" { "%" = { path = true; }; };
          mainProgram = "web";
          attributes.replicas = builtins.fromJSON (builtins.readFile ./replicas);
        };
      };
    in {
      niphasConfigurations.production = environment "production is evaluated";
      niphasConfigurations.staging = environment "staging is evaluated";
    };
}
"#;

/// An environment as nixlib makes it of modules: no attribute has a position, and the definitions have.
const OF_MODULES: &str = r#"{
  outputs = { self }: let
    niphasConfigurations.production = {
      _type = "niphas-environment";
      version = 1;
      namespace = "shop";
      systems = [ "x86_64-linux" ];
      workloads.web.x86_64-linux = {
        package = builtins.appendContext "%" { "%" = { path = true; }; };
        mainProgram = "web";
        # Merging evaluates the definitions.
        attributes = builtins.deepSeq definitions builtins.fromJSON ''{ "replicas": "2", "args": 5, "kind": "Jobb", "env": { "A": 1 } }'';
      };
      definitions.environment = [ ];
      definitions.workloads.web.x86_64-linux = definitions;
    };

    definitions = [
        { replicas = { _type = "override"; priority = 1000; content = 1; };
          env = { _type = "if"; condition = true; content = { A = 1; }; }; }
        { replicas = "2";
          kind = { _type = "if"; condition = false; content = 1; }; }
        { _type = "merge"; contents = [
          { args = [ ];
            kind = "Deployment"; }
          { args = 5;
            kind = { _type = "override"; priority = 50; content = "Jobb"; }; } ]; }
    ];
  in { inherit niphasConfigurations; };
}
"#;

/// A flake in a folder, and a cache folder beside it.
struct Project {
    folder: TempDir,
    said: Arc<Mutex<Vec<String>>>,
}

impl Project {
    fn new(flake: &str) -> Self {
        let project = Self {
            folder: TempDir::new().unwrap(),
            said: Arc::default(),
        };
        fs::create_dir(project.path("flake")).unwrap();
        project.write("flake.nix", flake);
        project.write("replicas", "1");
        project
    }

    /// The environments above.
    fn shop() -> Self {
        Self::new(&FLAKE.replace('%', HELLO))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, contents: &str) {
        fs::write(self.path("flake").join(name), contents).unwrap();
    }

    fn open(&self) -> OpenedFlake {
        let fetcher = Fetcher::new(FetchSettings::new(self.path("cache")));
        let reference = format!("path:{}", self.path("flake").display());
        let reference = FlakeRef::parse(&reference, &ParseOptions::absolute()).unwrap();
        OpenedFlake::open(fetcher, &reference, &LockOptions::default()).unwrap()
    }

    fn evaluation(&self) -> Evaluation {
        let said = Arc::clone(&self.said);
        Evaluation {
            settings: Settings {
                pure: true,
                ..Settings::default()
            },
            uses_cache: true,
            access: Access::Everything,
            profile: None,
            hear: Arc::new(move |message| said.lock().unwrap().push(message.to_owned())),
            record: None,
            builds: None,
        }
    }

    /// What is known of environments, and what they evaluate to.
    fn run(
        &self,
        named: &[&str],
    ) -> Result<(Option<KnownEnvironments>, EvaluatedEnvironments), EvaluationError> {
        let (flake, evaluation) = (self.open(), self.evaluation());
        let named: Vec<String> = named.iter().map(|&name| name.to_owned()).collect();
        let environments = Environments::open(&flake, &evaluation, &named)?;
        let evaluated = environments.evaluate(&|_| ())?;
        Ok((environments.known().cloned(), evaluated))
    }

    fn failure(&self, named: &[&str]) -> EvaluationError {
        match self.run(named) {
            Err(error) => error,
            Ok((known, _)) => panic!("it succeeded: {known:?}"),
        }
    }

    /// What was said since the last time.
    fn said(&self) -> Vec<String> {
        let mut said = std::mem::take(&mut *self.said.lock().unwrap());
        said.sort();
        said
    }
}

#[test]
fn problems_are_at_the_definition_that_counts() {
    let flake = OF_MODULES.replace('%', HELLO);
    let project = Project::new(&flake);
    let text = project.failure(&[]).to_string();
    for written in [
        "A = 1; }; };",
        "replicas = \"2\"",
        "args = 5;\n",
        "kind = { _type = \"override\"",
    ] {
        let before = flake.split(written).next().unwrap();
        let line = before.lines().count();
        let column = before.lines().last().unwrap().len() + 1;
        let place = format!("flake.nix:{line}:{column}\n");
        assert!(text.contains(&place), "{written} at {place}: {text}");
    }
}

/// The example's cache, with its key or without any.
fn example_cache(is_trusted: bool) -> Arc<Caches> {
    let key = fs::read_to_string(format!("{EXAMPLE}/cache-demo-key.public")).unwrap();
    let keys: Vec<PublicKey> = is_trusted
        .then(|| key.parse().unwrap())
        .into_iter()
        .collect();
    let url = format!("file://{EXAMPLE}/cache").parse().unwrap();
    let keys = PublicKeys::from_iter(keys);
    Arc::new(Caches::new(StoreDir::default(), [url], keys, Limits::default()).unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn what_was_evaluated_once_is_known_until_it_changes() {
    let project = Project::shop();
    let (known, first) = project.run(&[]).unwrap();
    assert_eq!(known, None);
    let names: Vec<&str> = first
        .environments
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["production", "staging"]);
    assert!(first.digest.is_some());

    let (known, second) = project.run(&[]).unwrap();
    assert_eq!(second, first);
    assert_eq!(known.as_ref().map(|known| known.digest), first.digest);
    let names: Vec<String> = known.into_iter().flat_map(|known| known.names).collect();
    assert_eq!(names, ["production", "staging"]);

    project.write("unread", "");
    let (known, moved) = project.run(&[]).unwrap();
    assert_eq!(known.map(|known| known.digest), first.digest);
    assert_eq!(moved.digest, first.digest);
    // The store path of the tree has changed, but not where the user has the workloads.
    assert_eq!(moved.environments, first.environments);

    let (known, staging) = project.run(&["staging"]).unwrap();
    assert_eq!(known.map(|known| known.digest), staging.digest);
    assert_ne!(staging.digest, first.digest);

    project.write("replicas", "2");
    let (known, changed) = project.run(&[]).unwrap();
    assert_eq!(known, None);
    assert_ne!(changed.digest, first.digest);
    assert_ne!(changed.environments, first.environments);
}

#[test]
fn without_the_cache_nothing_is_known_and_nothing_kept() {
    let project = Project::shop();
    let flake = project.open();
    let mut evaluation = project.evaluation();
    evaluation.uses_cache = false;
    for _ in 0..2 {
        let environments = Environments::open(&flake, &evaluation, &[]).unwrap();
        assert_eq!(environments.known(), None);
        assert_eq!(environments.evaluate(&|_| ()).unwrap().digest, None);
    }
    assert!(!project.path("cache/evaluations").exists());
}

#[test]
fn messages_go_to_the_caller_once_a_run() {
    let project = Project::shop();
    let messages = [
        "trace: production is evaluated",
        "trace: staging is evaluated",
    ];
    for run in ["evaluated", "known"] {
        project.run(&[]).unwrap();
        assert_eq!(project.said(), messages, "{run}");
    }
}

#[test]
fn steps_are_reported_for_what_is_evaluated() {
    let project = Project::shop();
    let (flake, evaluation) = (project.open(), project.evaluation());
    let environments = Environments::open(&flake, &evaluation, &[]).unwrap();
    let steps = RefCell::new(Vec::new());
    let note = |step: Step<'_>| steps.borrow_mut().push(format!("{step:?}"));
    environments.evaluate(&note).unwrap();
    let opened = [
        r#"Environment { name: "production" }"#,
        r#"Environment { name: "staging" }"#,
    ];
    assert_eq!(steps.borrow()[..2], opened);
    let environments = Environments::open(&flake, &evaluation, &[]).unwrap();
    steps.borrow_mut().clear();
    environments.evaluate(&note).unwrap();
    assert_eq!(*steps.borrow(), Vec::<String>::new());
}

#[test]
fn failures_have_types() {
    let none = Project::new("{ outputs = { self }: { }; }").failure(&[]);
    assert!(
        matches!(none, EvaluationError::NoEnvironments { similar: None }),
        "{none}"
    );

    let shop = Project::shop();
    match shop.failure(&["test"]) {
        EvaluationError::UnknownEnvironment { name, known } => {
            assert_eq!(name, "test");
            assert_eq!(known, ["production", "staging"]);
        }
        error => panic!("{error}"),
    }

    shop.write("replicas", "\"many\"");
    match shop.failure(&["staging"]) {
        EvaluationError::Problems(refused) => {
            let [staging] = refused.0.as_slice() else {
                panic!("{refused}");
            };
            assert_eq!(staging.environment, "staging");
            assert_eq!(staging.problems.as_slice().len(), 1);
        }
        error => panic!("{error}"),
    }
    // What is wrong is found in all of them.
    match shop.failure(&[]) {
        EvaluationError::Problems(refused) => {
            let names: Vec<&str> = refused.0.iter().map(|one| &*one.environment).collect();
            assert_eq!(names, ["production", "staging"]);
        }
        error => panic!("{error}"),
    }

    let outputs = r#"{ outputs = { self }: { niphasConfigurations = throw "broken"; }; }"#;
    match Project::new(outputs).failure(&[]) {
        EvaluationError::Nix(report) => {
            assert_eq!(report.kind, ErrorKind::Thrown);
            let text = String::from_utf8_lossy(&report.text);
            assert!(
                text.starts_with("error:") && text.contains("broken"),
                "{text}"
            );
            assert!(!text.contains("hint"), "{text}");
        }
        error => panic!("{error}"),
    }

    let profiled = Project::shop();
    let mut evaluation = profiled.evaluation();
    evaluation.profile = Some(profiled.path("no/folder"));
    let flake = profiled.open();
    let environments = Environments::open(&flake, &evaluation, &[]).unwrap();
    match environments.evaluate(&|_| ()) {
        Err(EvaluationError::Profile { path, .. }) => assert_eq!(path, profiled.path("no/folder")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_are_kept_by_what_they_are_about() {
    let project = Project::shop();
    let (flake, evaluation) = (project.open(), project.evaluation());
    let calls = Cell::new(0);
    let answer = |about: &str| {
        let answer = flake.answer(&evaluation, about, |_, _| {
            calls.set(calls.get() + 1);
            Ok(format!("about {about}").into_bytes())
        });
        answer.unwrap()
    };
    for (about, expected) in [("a", 1), ("a", 1), ("b", 2), ("b", 2)] {
        assert_eq!(answer(about), format!("about {about}").into_bytes());
        assert_eq!(calls.get(), expected, "{about}");
    }
}

#[test]
fn flakes_are_evaluated_side_by_side_in_one_process() {
    let projects: Vec<Project> = ["one", "two", "three"]
        .map(|name| {
            let flake = FLAKE.replace('%', HELLO);
            Project::new(&flake.replace("is evaluated", name))
        })
        .into();
    std::thread::scope(|scope| {
        for project in &projects {
            scope.spawn(|| {
                assert_eq!(project.run(&[]).unwrap().0, None);
                assert_ne!(project.run(&[]).unwrap().0, None);
            });
        }
    });
    for (project, name) in projects.iter().zip(["one", "two", "three"]) {
        let said = project.said();
        assert_eq!(said.len(), 4, "{said:?}");
        let own = said.iter().all(|message| message.ends_with(name));
        assert!(own, "{said:?}");
    }
}

#[test]
fn closures_are_found_or_named_with_what_needs_them() {
    let project = Project::shop();
    let (_, evaluated) = project.run(&[]).unwrap();
    let steps = RefCell::new(Vec::new());
    let note = |step: Step<'_>| {
        if let Step::Closure { done, total, .. } = step {
            steps.borrow_mut().push((done, total));
        }
    };
    let (cache, untrusted) = (example_cache(true), example_cache(false));
    let found = resolve(&cache, &evaluated.environments, &note);
    let found = runtime().block_on(found).unwrap();
    assert_eq!(*steps.borrow(), [(1, 2), (2, 2)]);
    for closures in found.values() {
        let lines = closures.values().next().unwrap();
        let paths = lines.as_slice().iter();
        let paths: Vec<String> = paths
            .map(|line| StoreDir::default().print(&line.path))
            .collect();
        assert!(paths.contains(&HELLO.to_owned()), "{paths:?}");
    }

    let refused = resolve(&untrusted, &evaluated.environments, &|_| ());
    let error = runtime().block_on(refused).unwrap_err();
    let text = error.to_string();
    for name in ["production", "staging"] {
        let of = format!("workload 'web' of environment '{name}' on x86_64-linux: ");
        assert!(text.lines().any(|line| line.starts_with(&of)), "{text}");
    }
    let ResolveError::Unresolved(closures) = error else {
        panic!("{error:?}");
    };
    let named: Vec<(&str, &str)> = closures
        .iter()
        .map(|closure| (closure.environment.as_str(), closure.id.workload.as_str()))
        .collect();
    assert_eq!(named, [("production", "web"), ("staging", "web")]);
    for closure in &closures {
        assert!(matches!(closure.error, ClosureError::Unavailable(_)));
    }
}

#[test]
fn nothing_goes_on_when_the_caller_gives_up() {
    let project = Project::shop();
    let (_, evaluated) = project.run(&[]).unwrap();
    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let keys = PublicKeys::from_iter([]);
    let limits = Limits::default();
    let caches = Caches::new(StoreDir::default(), [url.parse().unwrap()], keys, limits);
    let caches = Arc::new(caches.unwrap());
    runtime().block_on(async {
        let found = resolve(&caches, &evaluated.environments, &|_| ());
        let found = tokio::time::timeout(Duration::from_millis(200), found).await;
        assert!(found.is_err(), "{found:?}");
        for _ in 0..500 {
            if Arc::strong_count(&caches) == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("closures are still being looked for");
    });
}

/// All steps of a run; the second finds that there is nothing to do.
#[test]
fn what_was_rendered_and_committed_needs_no_second_run() {
    let project = Project::shop();
    let gitops = project.path("gitops");
    niphas_gitops::init(&gitops, "main").unwrap();
    let location = Location::Path(gitops);
    let repository = GitOpsRepository::open(&location, None, <_>::default()).unwrap();
    let folder = "deploy".parse().unwrap();
    let (flake, evaluation) = (project.open(), project.evaluation());
    let key = RenderKey {
        program: "test",
        flake: &flake.locked.flake.resolved.expose(),
        repository: RepositoryKey::default(),
        environments: &[],
        base_image: None,
        caches: &[],
        trust: "",
    };
    let settings = flake.fetcher.settings();
    let last = LastRendering::new(&settings.cache_dir, settings.ttl, &key);

    let environments = Environments::open(&flake, &evaluation, &[]).unwrap();
    assert_eq!(environments.known(), None);
    let evaluated = environments.evaluate(&|_| ()).unwrap();
    let digest = evaluated.digest.unwrap();
    assert_eq!(last.objects(&digest), None);
    let asked = SystemTime::now();
    let cache = example_cache(true);
    let closures = resolve(&cache, &evaluated.environments, &|_| ());
    let closures = runtime().block_on(closures).unwrap();
    let files = render(
        &evaluated.environments,
        &closures,
        &folder,
        &Form::Workloads,
    )
    .unwrap();
    let names: Vec<String> = files.keys().cloned().collect();
    let origin = Origin::of(&flake).unwrap();
    assert_eq!(origin.revision, None, "the flake is in no repository");
    let outcome = repository.commit(&Request {
        environments: files,
        provenance: Provenance {
            owner: origin.owner.clone(),
            repository: origin.repository.clone(),
            revision: None,
            flake_lock: Some(origin.flake_lock.clone()),
            renderer: "test".to_owned(),
        },
        history: &origin.history(),
        author: Some(Author {
            name: "test".to_owned(),
            email: "test@example.org".to_owned(),
        }),
        subject: None,
        signing_key: None,
        allow: Allowed::default(),
        all_environments: None,
        prune: false,
    });
    let Ok(Outcome::Committed { commit, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    let objects = BranchObjects::read(&repository, commit, &folder, &names).unwrap();
    last.note(digest, asked, objects);

    let environments = Environments::open(&flake, &evaluation, &[]).unwrap();
    let known = environments.known().unwrap();
    assert_eq!(known.digest, digest);
    let tip = repository.tip().unwrap().unwrap();
    let objects = BranchObjects::read(&repository, tip, &folder, &known.names).unwrap();
    assert_eq!(last.objects(&known.digest), Some(objects));
    let others = BranchObjects::read(
        &repository,
        tip,
        &folder,
        &known.names.clone().into_iter().take(1).collect::<Vec<_>>(),
    );
    assert_ne!(last.objects(&known.digest), others.ok());
}
