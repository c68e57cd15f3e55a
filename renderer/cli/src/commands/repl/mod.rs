//! `niphas repl`

mod complete;
mod input;
mod session;

use std::io::{IsTerminal, stdin};
use std::process::ExitCode;

use niphas_terminal::print_line;
use nix_evaluator::io::LocalIo;

use crate::evaluation_args::{AutoCallArgs, EvaluationArgs};
use crate::failure::Failure;
use crate::flake::FlakeArgs;
use input::Input;
use session::{Next, Session};

/// Evaluate Nix expressions interactively, as nix repl does
///
/// Lines are expressions, definitions (`x = 1`) or commands; `:?` lists those. What is not complete goes on in the next line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files to load: their attributes become variables
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    auto_call: AutoCallArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
}

/// What a session has loaded, which a new one loads again.
#[derive(Clone, Debug)]
enum Loaded {
    File(String),
    Flake(String),
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        if stdin().is_terminal() {
            let version = env!("CARGO_PKG_VERSION");
            print_line(format!("niphas {version}. Type :? for help.").as_bytes());
        }
        let mut loaded: Vec<Loaded> = self.files.iter().cloned().map(Loaded::File).collect();
        let mut input = Input::new()?;
        // What was read stays read: reloading is a new evaluation.
        loop {
            let fetcher = self.flakes.fetcher()?;
            let evaluation = self.evaluation.evaluation(false)?;
            let show_trace = evaluation.settings.show_trace;
            let next = evaluation.run(&fetcher, LocalIo::default(), |evaluator| {
                let mut session = Session::new(
                    &self.auto_call,
                    show_trace,
                    &self.flakes,
                    &fetcher,
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
}
