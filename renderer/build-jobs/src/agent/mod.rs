//! The agent of a build: what runs in its pod.
//!
//! It asks the service what to build, finds the inputs mounted, builds in Nix's sandbox, and delivers outputs and logs while the service
//! watches over it. It holds nothing secret but the token by which the service knows the pod, which builders do not see. How it ends
//! says its [`Exit`] code, and in a sentence the pod's termination message.
//!
//! The program that it is a part of must call [`nix_builder::sandbox::child_main`] before anything else.

mod arguments;
mod logs;
mod memory;
mod mounted;
mod order;
mod verdict;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use binary_cache::{Caches, NarSource, TrustPolicy};
use niphas_cache_service::client::{Client, ClientError, Options as ClientOptions, Token};
use niphas_cache_service::protocol::{
    BuildFailure, BuildName, BuildRequest, BuildResult, FailureKind, Outcome,
};
use niphas_store::{Options as StoreOptions, Store};
use nix_builder::engine::{
    Engine, EngineError, Event, InputFolder, Origins, Reason, Report, Request, Settings,
};
use nix_builder::options::Machine;
use nix_builder::plan::{Wanted, WantedOutputs};
use nix_builder::sandbox::Limits;
use nix_formats::{Derivation, PublicKeys, StoreDir, StorePath};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use url::Url;

use crate::exit::Exit;
use crate::inputs::BuildInputs;
use crate::job::{CA_FILE, TOKEN_FILE, WORK_FOLDER};
use crate::standing::LastWords;
pub use arguments::Arguments;
use logs::Logs;
use mounted::Mounted;

/// Where in the pod things are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder that is built in.
    pub work: PathBuf,
    /// The folder with the inputs.
    pub inputs: PathBuf,
    /// The list of inputs: see [`read_inputs`](crate::inputs::read_inputs).
    pub inputs_list: PathBuf,
    /// The token.
    pub token: PathBuf,
    /// Certificates that the service is verified by.
    pub certificates: PathBuf,
    /// Where the last words go.
    pub termination_log: PathBuf,
}

impl Default for Places {
    /// Those of the pods of [`job`](crate::job).
    fn default() -> Self {
        Self {
            work: WORK_FOLDER.into(),
            inputs: StoreDir::default().as_str().into(),
            inputs_list: niphas_api::VIEW_ROOT.into(),
            token: TOKEN_FILE.into(),
            certificates: CA_FILE.into(),
            termination_log: "/dev/termination-log".into(),
        }
    }
}

type Broken = Box<dyn Error + Send + Sync>;

/// How it ended, what to say of it, and of which derivation.
struct End {
    exit: Exit,
    message: String,
    derivation: Option<StorePath>,
}

impl End {
    fn of(exit: Exit, message: String) -> Self {
        Self {
            exit,
            message,
            derivation: None,
        }
    }
}

/// Builds what the service asks for, and tells it. `stop` ends the builder.
pub async fn run(arguments: &Arguments, places: &Places, stop: CancellationToken) -> Exit {
    let end = match build(arguments, places, &stop).await {
        Ok(end) => end,
        Err(_) if stop.is_cancelled() => End::of(Exit::Stopped, STOPPED.to_owned()),
        Err(broken) => End::of(Exit::Machine, nix_formats::chain(&*broken)),
    };
    let words = LastWords {
        message: nix_formats::shortened(&end.message, 1024).into_owned(),
        derivation: end.derivation.map(|path| path.base_name().to_owned()),
    };
    if end.exit == Exit::Built {
        info!("all outputs are delivered");
    } else {
        error!(exit = end.exit.code(), "{}", words.message);
        let words = serde_json::to_vec(&words).unwrap_or_default();
        if let Err(failed) = std::fs::write(&places.termination_log, words) {
            error!(error = %failed, "failed to write the termination message");
        }
    }
    end.exit
}

/// How long the service may be silent: it answers before it has checked what is delivered.
const TIMES: niphas_http::Limits = niphas_http::Limits {
    connect_timeout: Duration::from_secs(15),
    read_timeout: Duration::from_mins(1),
};

const STOPPED: &str = "the pod was ended before the build was";

async fn build(
    arguments: &Arguments,
    places: &Places,
    stop: &CancellationToken,
) -> Result<End, Broken> {
    let client = client(arguments, places)?;
    let requests = requests(&client, arguments, stop).await?;
    let store_dir = StoreDir::default();
    let mounted = Mounted::open(&places.inputs_list, &places.inputs, &store_dir)?;
    let (folder, inputs) = match mounted {
        Some((mounted, inputs)) => (Some(mounted), inputs),
        None => (None, BuildInputs::new()),
    };
    let derivations = order::derivations(&requests, &inputs, &store_dir)?;
    let store_folder = places.work.join("store");
    let store = Store::open(&store_folder, StoreOptions::default())?;
    let engine = engine(&store, folder, derivations, &requests, (arguments, places))?;
    let logs = Logs::start(
        &client,
        &places.work,
        requests.iter().map(|it| &it.derivation),
    )?;
    let before = memory::killed_processes();
    let report = watch(&engine, &requests, &logs, stop).await;
    let ran_out_of_memory = memory::killed_processes() > before;
    let report = match report {
        Ok(report) => report,
        Err(_) if stop.is_cancelled() => {
            logs.say_all(STOPPED);
            logs.finish().await?;
            return Ok(End::of(Exit::Stopped, STOPPED.to_owned()));
        }
        Err(error) => {
            logs.say_all(&nix_formats::chain(&error));
            logs.finish().await?;
            return Err(error.into());
        }
    };
    logs.finish().await?;
    // What was built is not lost if the next was not.
    let store: Arc<dyn NarSource> = Arc::new(store);
    for request in &requests {
        if let Some(outputs) = report.outputs.get(&request.derivation)
            && let Some(end) = deliver(&client, &request.derivation, outputs, &store).await?
        {
            return Ok(end);
        }
    }
    conclude(&client, &requests, &report, ran_out_of_memory).await
}

fn client(arguments: &Arguments, places: &Places) -> Result<Client, Broken> {
    let http = if arguments.is_verified_by_ca_file {
        let certificates = std::fs::read(&places.certificates)?;
        niphas_http::client_of_certificates(&TIMES, &certificates)?
    } else {
        niphas_http::client_without_redirects(&TIMES)?
    };
    let url = Url::parse(&arguments.service)?;
    let token = Token::File(places.token.clone());
    Ok(Client::new(http, url, token, ClientOptions::default()))
}

/// What is asked for: builds that come first before the one that the pod is for.
async fn requests(
    client: &Client,
    arguments: &Arguments,
    stop: &CancellationToken,
) -> Result<Vec<BuildRequest>, Broken> {
    let name: BuildName = arguments.name.parse()?;
    let ask = async {
        let last = client.request(&name).await?;
        let mut requests = Vec::with_capacity(last.built_with.len() + 1);
        for name in &last.built_with {
            requests.push(client.request(name).await?);
        }
        requests.push(last);
        Ok::<_, ClientError>(requests)
    };
    let asked = stop.run_until_cancelled(ask).await;
    Ok(asked.ok_or(STOPPED)??)
}

fn engine(
    store: &Store,
    folder: Option<Mounted>,
    derivations: BTreeMap<StorePath, Arc<Derivation>>,
    requests: &[BuildRequest],
    (arguments, places): (&Arguments, &Places),
) -> Result<Engine, Broken> {
    let policy = TrustPolicy::from(PublicKeys::default()).with_own(store.own_key()?);
    let limits = binary_cache::Limits::default();
    // Whatever is needed is mounted: nothing is fetched.
    let caches = Caches::new(StoreDir::default(), Vec::new(), policy, limits)?;
    let origins = Origins {
        caches: Arc::new(caches),
        derivations: Arc::new(derivations),
        sources: None,
        folder: folder.map(|mounted| InputFolder {
            folder: places.inputs.clone(),
            source: Arc::new(mounted),
        }),
    };
    let asked = &requests.last().ok_or("nothing is asked for")?.settings;
    let mut settings = Settings::new(machine(&asked.systems));
    if asked.cores > 0 {
        settings.cores = asked.cores;
    }
    settings.shell.clone_from(&arguments.shell);
    settings.limits = Limits {
        timeout: Some(asked.timeout),
        max_silent_time: (!asked.max_silent_time.is_zero()).then_some(asked.max_silent_time),
        max_log_size: Some(asked.max_log_size),
        ..settings.limits
    };
    Ok(Engine::new(store.clone(), origins, settings)?)
}

/// What the pod can build: its Job had it placed where it can.
fn machine(systems: &[String]) -> Machine {
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kvm = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    let mut machine = Machine::linux(std::env::consts::ARCH, &cpu_info, kvm);
    machine.extra_platforms.extend(systems.iter().cloned());
    // It would be root of its own, which needs rights that no build pod has.
    machine.features.remove("uid-range");
    machine
}

/// Has all of it built, and writes down what builders say.
async fn watch(
    engine: &Engine,
    requests: &[BuildRequest],
    logs: &Logs,
    stop: &CancellationToken,
) -> Result<Report, EngineError> {
    let wanted = requests.iter().map(|request| Wanted::Outputs {
        derivation: request.derivation.clone(),
        outputs: WantedOutputs::All,
    });
    let request = Request {
        wanted: wanted.collect(),
        // What was built is delivered at once, and its inputs are not copied for it.
        holds: false,
        ..Request::default()
    };
    let (events, mut told) = mpsc::channel(64);
    let write = async {
        while let Some(event) = told.recv().await {
            match event {
                Event::Said { derivation, said } => logs.said(&derivation, &said),
                Event::Failed(failure) => {
                    logs.say(&failure.derivation, &nix_formats::chain(&failure.reason));
                }
                Event::Warning(text) => logs.say_all(&text),
                Event::Started { derivation, .. } => info!(%derivation, "builds"),
                _ => {}
            }
        }
    };
    let (report, ()) = tokio::join!(engine.build(&request, events, stop), write);
    report
}

/// Uploads the outputs of a derivation. Gives an end, if the service does not take them.
async fn deliver(
    client: &Client,
    derivation: &StorePath,
    outputs: &BTreeMap<String, StorePath>,
    store: &Arc<dyn NarSource>,
) -> Result<Option<End>, Broken> {
    let mut infos = BTreeMap::new();
    for (output, path) in outputs {
        let info = store.infos(std::slice::from_ref(path))?.pop().flatten();
        let info = info.ok_or_else(|| format!("the output '{path}' is not in the store"))?;
        infos.insert(output.clone(), info);
    }
    let name = BuildName::of(derivation);
    let outcome = client.deliver(&name, Arc::clone(store), &infos).await?;
    info!(%derivation, "built and delivered");
    Ok(match outcome {
        Outcome::Stored { .. } => None,
        Outcome::Failed(BuildFailure { kind, message }) => Some(End {
            exit: verdict::exit_of(kind),
            message,
            derivation: Some(derivation.clone()),
        }),
    })
}

/// Says what failed, if something did.
async fn conclude(
    client: &Client,
    requests: &[BuildRequest],
    report: &Report,
    ran_out_of_memory: bool,
) -> Result<End, Broken> {
    let mut failures = report.failures.iter();
    let root = failures.find(|it| !matches!(it.reason, Reason::Dependencies { .. }));
    let Some(failure) = root else {
        let is_all = report.failures.is_empty() && report.outputs.len() == requests.len();
        return Ok(if is_all {
            End::of(Exit::Built, String::new())
        } else {
            End::of(
                Exit::Machine,
                "not all that was asked for was built".to_owned(),
            )
        });
    };
    let (exit, said) = verdict::verdict(failure, ran_out_of_memory);
    let message = said.message.clone();
    // That it broke here says nothing of the next pod.
    if said.kind != FailureKind::Machine && said.kind != FailureKind::OutOfMemory {
        let name = BuildName::of(&failure.derivation);
        client.finish(&name, &BuildResult::Failed(said)).await?;
    }
    Ok(End {
        exit,
        message,
        derivation: Some(failure.derivation.clone()),
    })
}

/// The file of a derivation's log, below the folder that is built in.
fn log_file(work: &Path, derivation: &StorePath) -> PathBuf {
    work.join("logs").join(derivation.hash_part())
}
