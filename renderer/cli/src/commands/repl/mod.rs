//! `niphas repl`

mod builds;
mod complete;
mod input;
mod line;
mod refused;
mod session;

use std::io::{IsTerminal, stdin};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use niphas_cache_args::CacheArgs;
use niphas_terminal::print_line;
use nix_evaluator::io::LocalIo;

use crate::build_args::BuildArgs;
use crate::evaluation_args::{AutoCallArgs, EvaluationArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, LockFileArgs, without_outputs};
use crate::imports::record;
use builds::Builds;
use input::Input;
use session::{Flakes, Next, Session};

/// Evaluate Nix expressions interactively, as nix repl does
///
/// Lines are expressions, definitions (`x = 1`) or commands; `:?` lists those. What is not complete goes on in the next line.
/// `:b` builds as `niphas build` does.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, flakes or FLAKE#ATTRIBUTE to load: their attributes become variables; with --file or --expr attribute paths in
    /// that
    #[arg(value_name = "INSTALLABLE")]
    installables: Vec<String>,
    /// Load this file
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "expr")]
    file: Option<String>,
    /// Load what this expression gives
    #[arg(long, value_name = "EXPR")]
    expr: Option<String>,
    #[command(flatten)]
    auto_call: AutoCallArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
    #[command(flatten)]
    lock_file: LockFileArgs,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    builds: BuildArgs,
}

/// What a session has loaded, which a new one loads again.
#[derive(Clone, Debug)]
enum Loaded {
    File(String),
    /// All of a flake: its outputs, inputs and source.
    Flake(String),
    /// The outputs of a flake, or one of them.
    Installable(String),
    /// An attribute path in a file.
    InFile(String, String),
    /// An attribute path in what an expression gives.
    InExpression(String, String),
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        if stdin().is_terminal() {
            let version = env!("CARGO_PKG_VERSION");
            print_line(format!("niphas {version}. Type :? for help.").as_bytes());
        }
        let mut loaded = self.to_load()?;
        let mut input = Input::new()?;
        // What was read stays read: reloading is a new evaluation.
        loop {
            let fetcher = self.flakes.fetcher()?;
            let mut evaluation = self.evaluation.evaluation(false)?;
            let record = record();
            evaluation.record = Some(Arc::clone(&record));
            let builds = Builds::new(&self.caches, &self.builds, record)?;
            let show_trace = evaluation.settings.show_trace;
            let system = evaluation.settings.system.clone();
            let next = evaluation.run(&fetcher, LocalIo::default(), |evaluator| {
                let mut session = Session::new(
                    &self.auto_call,
                    show_trace,
                    Flakes {
                        args: &self.flakes,
                        lock_file: self.lock_file,
                        fetcher: &fetcher,
                        system: &system,
                    },
                    &builds,
                    evaluator,
                );
                session.load_all(&loaded);
                let next = input.drive(&mut session);
                loaded = session.into_loaded();
                Ok(next)
            })?;
            if next == Next::End {
                input.save_history();
                return Ok(ExitCode::SUCCESS);
            }
        }
    }

    fn to_load(&self) -> Result<Vec<Loaded>, Failure> {
        let within: fn(&str, &str) -> Loaded = match (&self.file, &self.expr) {
            (Some(_), _) => |file, path| Loaded::InFile(file.to_owned(), path.to_owned()),
            (None, Some(_)) => |text, path| Loaded::InExpression(text.to_owned(), path.to_owned()),
            (None, None) => |_, named| {
                if is_file(named) {
                    Loaded::File(named.to_owned())
                } else {
                    Loaded::Installable(named.to_owned())
                }
            },
        };
        let source = self.file.as_ref().or(self.expr.as_ref());
        let mut named = Vec::new();
        for installable in &self.installables {
            named.push(without_outputs(installable)?);
        }
        if named.is_empty() && source.is_some() {
            named.push("");
        }
        let source = source.map(String::as_str).unwrap_or_default();
        let loaded = named.into_iter().map(|named| within(source, named));
        Ok(loaded.collect())
    }
}

/// Whether an argument is a file rather than a flake: a name on the look-up path, a file, or a folder that has only a
/// default.nix.
fn is_file(argument: &str) -> bool {
    let path = Path::new(argument);
    argument.starts_with('<')
        || path.is_file()
        || (path.join("default.nix").exists() && !path.join("flake.nix").exists())
}
