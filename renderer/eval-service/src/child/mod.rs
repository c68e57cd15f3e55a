//! The process that evaluates one flake, and ends.
//!
//! What a flake says is code of a stranger. So it is evaluated by a process that was given nothing worth reading
//! ([`isolation`]): the service fetches what the lock file names before, and checks what comes back after.

mod graph;
mod isolation;
mod landlock;
pub(crate) mod protocol;

use std::io::{BufWriter, Read as _, Write as _};
use std::sync::Arc;

use anyhow::Context as _;
use niphas_environments::{
    Access, Environments, Evaluation, EvaluationError, EvaluationRecord, OpenedFlake,
};
use nix_evaluator::{Limits, Settings};
use nix_flake::{FetchSettings, Fetcher, FlakeError, FlakeRef, LockOptions};
use nix_formats::StoreDir;

use protocol::{Answer, Request};

/// The largest request.
const MAX_REQUEST: u64 = 16 << 20;

/// The stack of the thread that evaluates; it takes more where it needs more.
const STACK: usize = 16 << 20;

/// Of an evaluation's memory, the part that its values may take. As much again may be in use for a moment.
const SHARE_OF_VALUES: u64 = 2;

/// Evaluates what standard input asks for, and answers on standard output.
pub fn main() -> anyhow::Result<()> {
    isolation::refuse_open_files()?;
    let mut text = Vec::new();
    let stdin = std::io::stdin().lock();
    stdin.take(MAX_REQUEST).read_to_end(&mut text)?;
    let request: Request = serde_json::from_slice(&text).context("reading the request")?;
    let answer = match isolation::isolate(&request) {
        // The C library finds the stack of the first thread in /proc, which is out of reach by now.
        Ok(()) => std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK);
            let thread = thread.spawn_scoped(scope, || match evaluate(&request) {
                Ok(said) => said,
                Err(error) => Said::Answer(Answer::Failed(nix_formats::chain(&*error))),
            });
            let answer = thread.context("starting a thread")?.join();
            answer.map_err(|_| anyhow::anyhow!("the evaluation panicked"))
        })?,
        Err(error) => Said::Answer(Answer::NotIsolated(format!("{error:#}"))),
    };
    let mut stdout = BufWriter::new(std::io::stdout().lock());
    match answer {
        Said::Answer(answer) => serde_json::to_writer(&mut stdout, &answer)?,
        Said::Graph(pieces) => {
            serde_json::to_writer(&mut stdout, &Answer::Graph)?;
            pieces.write(&mut stdout)?;
        }
    }
    stdout.flush()?;
    Ok(())
}

/// What the process says.
enum Said {
    Answer(Answer),
    Graph(graph::Pieces),
}

fn evaluate(request: &Request) -> Result<Said, Box<EvaluationError>> {
    let failed = |message| Ok(Said::Answer(Answer::Failed(message)));
    let mut settings = FetchSettings::new(&request.cache);
    settings.offline = true;
    settings.registries.global = String::new();
    let reference = FlakeRef::from_attrs(request.flake.clone())
        .map_err(|error| EvaluationError::from(FlakeError::from(error)))?;
    let options = LockOptions {
        use_registries: false,
        allow_unlocked: false,
        ..LockOptions::default()
    };
    let opened = OpenedFlake::open(Fetcher::new(settings), &reference, &options);
    let flake = match opened {
        Ok(flake) => flake,
        Err(error) if needs_a_lock(&error) => {
            return failed(format!("{}; {LOCK_HINT}", nix_formats::chain(&error)));
        }
        Err(error) => return Err(Box::new(error.into())),
    };
    if flake.locked.is_changed() {
        return failed(format!(
            "flake.lock does not have all inputs of flake.nix; {LOCK_HINT}"
        ));
    }
    let values = usize::try_from(request.limits.memory / SHARE_OF_VALUES).unwrap_or(usize::MAX);
    let record = request
        .graph
        .map(|_| Arc::new(EvaluationRecord::new(StoreDir::default())));
    let evaluation = Evaluation {
        settings: Settings {
            pure: true,
            write_store: record.is_some(),
            limits: Limits {
                time: Some(request.limits.time),
                memory: Some(values),
                interrupt: None,
            },
            ..Settings::default()
        },
        // What is known is not evaluated, and so not recorded.
        uses_cache: record.is_none(),
        // There is nothing that it could reach.
        access: Access::Everything,
        profile: None,
        hear: Arc::new(|message| tracing::info!("{message}")),
        record: record.clone(),
        builds: None,
    };
    let environments = Environments::open(&flake, &evaluation, &request.environments)?;
    let (evaluated, data) = environments.evaluate_with_data(&|_| ())?;
    let (Some(limits), Some(record)) = (request.graph, record) else {
        return Ok(Said::Answer(Answer::Evaluated(data)));
    };
    match graph::Pieces::of(&evaluated, &record, limits) {
        Ok(pieces) => Ok(Said::Graph(pieces)),
        Err(error) => failed(nix_formats::chain(&error)),
    }
}

/// What an author of a flake can do about inputs that are not locked.
pub(crate) const LOCK_HINT: &str =
    "run 'niphas flake lock' or 'nix flake lock', and commit flake.lock";

fn needs_a_lock(error: &FlakeError) -> bool {
    let mut error: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = error {
        let boxed = this.downcast_ref::<Box<FlakeError>>().map(|error| &**error);
        let flake = this.downcast_ref::<FlakeError>().or(boxed);
        if matches!(
            flake,
            Some(FlakeError::Offline(_) | FlakeError::UnlockedInPureMode(_))
        ) {
            return true;
        }
        error = this.source();
    }
    false
}
