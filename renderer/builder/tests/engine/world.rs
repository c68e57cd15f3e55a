//! Derivations that are made by hand, and an engine that builds them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use binary_cache::{CacheUrl, Caches, TrustPolicy};
use niphas_store::{OpenError, Store};
use nix_builder::engine::{
    Engine, EngineError, Event, InputFolder, MessageStyle, Origins, Report, Request, Said, Settings,
};
use nix_builder::options::Machine;
use nix_builder::plan::{Wanted, WantedOutputs};
use nix_builder::{Derivations, Sources};
use nix_formats::derivation::{DerivationError, HashModulo, Placeholder, hash_placeholder};
use nix_formats::{
    ContentAddressMethod, Derivation, DerivationOutput, HashAlgorithm, PublicKey, PublicKeys,
    StoreDir, StorePath,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Derivations, by path.
#[derive(Default, Clone)]
pub(crate) struct World {
    pub(crate) derivations: BTreeMap<StorePath, Arc<Derivation>>,
    modulo: HashMap<StorePath, HashModulo>,
}

/// A derivation that is put together.
pub(crate) struct Recipe<'a> {
    world: &'a mut World,
    derivation: Derivation,
}

impl World {
    /// A derivation that runs a script in `/bin/sh`.
    pub(crate) fn script(&mut self, name: &str, script: &str) -> Recipe<'_> {
        let derivation = Derivation {
            name: name.to_owned(),
            outputs: [("out".to_owned(), DerivationOutput::Deferred)].into(),
            platform: b"x86_64-linux".to_vec(),
            builder: b"/bin/sh".to_vec(),
            args: vec![b"-c".to_vec(), script.into()],
            env: [(b"name".to_vec(), name.into())].into(),
            ..Derivation::default()
        };
        Recipe {
            world: self,
            derivation,
        }
    }

    /// What stands for an output of a derivation in another.
    pub(crate) fn out(&self, path: &StorePath, output: &str) -> String {
        let derivation = &self.derivations[path];
        let known = derivation.outputs[output].path(&StoreDir::default(), &derivation.name, output);
        match known.unwrap() {
            Some(known) => StoreDir::default().print(&known),
            None => Placeholder::unknown_ca_output(path, output).render(),
        }
    }
}

impl Recipe<'_> {
    /// An output of another derivation, in a variable.
    pub(crate) fn input(mut self, variable: &str, path: &StorePath, output: &str) -> Self {
        let value = self.world.out(path, output);
        let outputs = self
            .derivation
            .input_derivations
            .entry(path.clone())
            .or_default();
        outputs.names.insert(output.to_owned());
        self.set(variable, &value)
    }

    pub(crate) fn set(mut self, variable: &str, value: &str) -> Self {
        self.derivation.env.insert(variable.into(), value.into());
        self
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Derivation)) -> Self {
        change(&mut self.derivation);
        self
    }

    /// Its output's path comes of its contents.
    pub(crate) fn floating(self) -> Self {
        self.change(|it| {
            let floating = DerivationOutput::Floating {
                method: ContentAddressMethod::Recursive,
                algorithm: HashAlgorithm::Sha256,
            };
            it.outputs.insert("out".to_owned(), floating);
        })
        .set("out", &hash_placeholder("out"))
    }

    /// Adds it.
    pub(crate) fn add(mut self) -> StorePath {
        let modulo = &self.world.modulo;
        let done = self
            .derivation
            .instantiate::<DerivationError>(&StoreDir::default(), |input| Ok(modulo[input]));
        let done = done.unwrap();
        self.world.modulo.insert(done.path.clone(), done.modulo);
        self.world
            .derivations
            .insert(done.path.clone(), Arc::new(self.derivation));
        done.path
    }
}

/// A run, and what it told.
pub(crate) struct Run {
    pub(crate) report: Result<Report, EngineError>,
    pub(crate) events: Vec<Event>,
}

impl Run {
    pub(crate) fn report(&self) -> &Report {
        self.report.as_ref().unwrap()
    }

    /// The messages of its failures.
    pub(crate) fn messages(&self) -> Vec<String> {
        let style = MessageStyle {
            store_dir: &StoreDir::default(),
            log_command: None,
        };
        self.report()
            .failures
            .iter()
            .map(|it| it.message(style))
            .collect()
    }

    /// The names of the derivations that were started, in order.
    pub(crate) fn started(&self) -> Vec<&str> {
        let started = self.events.iter().filter_map(|event| match event {
            Event::Started { derivation, .. } => Some(derivation.name()),
            _ => None,
        });
        started.collect()
    }

    /// The lines that builders wrote.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.events.iter().filter_map(|event| match event {
            Event::Said {
                said: Said::Line(line),
                ..
            } => Some(String::from_utf8_lossy(line).into_owned()),
            _ => None,
        });
        lines.collect()
    }
}

pub(crate) fn settings() -> Settings {
    let machine = Machine::linux("x86_64", "", false);
    Settings {
        shell: Some("/bin/busybox".into()),
        max_jobs: 2,
        ..Settings::new(machine)
    }
}

pub(crate) fn wanted(derivation: &StorePath) -> Wanted {
    Wanted::Outputs {
        derivation: derivation.clone(),
        outputs: WantedOutputs::All,
    }
}

pub(crate) fn request(derivations: &[&StorePath]) -> Request {
    Request {
        wanted: derivations.iter().map(|it| wanted(it)).collect(),
        ..Request::default()
    }
}

/// What an engine has besides derivations.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) caches: Vec<CacheUrl>,
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) sources: Option<Arc<dyn Sources>>,
    pub(crate) folder: Option<InputFolder>,
}

/// An engine on the store in a folder.
pub(crate) fn engine(folder: &Path, world: &World, settings: Settings) -> Engine {
    engine_with(folder, world, Extras::default(), settings)
}

pub(crate) fn engine_with(
    folder: &Path,
    world: &World,
    extras: Extras,
    settings: Settings,
) -> Engine {
    let store = open(folder);
    let keys: PublicKeys = extras.keys.into_iter().collect();
    let policy = TrustPolicy::from(keys).with_own(store.own_key().unwrap());
    let limits = binary_cache::Limits::default();
    let caches = Caches::new(StoreDir::default(), extras.caches, policy, limits).unwrap();
    let origins = Origins {
        caches: Arc::new(caches),
        derivations: Arc::new(world.derivations.clone()) as Arc<dyn Derivations>,
        sources: extras.sources,
        folder: extras.folder,
    };
    Engine::new(store, origins, settings).unwrap()
}

/// Opens a store, once an engine that was dropped has let go of it.
pub(crate) fn open(folder: &Path) -> Store {
    for _ in 0..100 {
        match Store::open(folder, niphas_store::Options::default()) {
            Err(OpenError::InUse { .. }) => std::thread::sleep(Duration::from_millis(50)),
            opened => return opened.unwrap(),
        }
    }
    panic!("{} stays in use", folder.display());
}

/// Builds with an engine.
pub(crate) async fn build(engine: &Engine, request: &Request) -> Run {
    let (events, mut told) = mpsc::channel(16);
    let gather = async {
        let mut events = Vec::new();
        while let Some(event) = told.recv().await {
            events.push(event);
        }
        events
    };
    let cancel = CancellationToken::new();
    let (report, events) = tokio::join!(engine.build(request, events, &cancel), gather);
    Run { report, events }
}
