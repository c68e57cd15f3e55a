//! Evaluates a file, or the expression after `-E`, all the way down, and prints the value.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use nix_evaluator::io::LocalIo;
use nix_evaluator::{Bump, Evaluator, Origin, PrintOptions, Settings, normalise};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (arena, io) = (Bump::new(), LocalIo::default());
    let mut evaluator = Evaluator::new(&arena, &io, Settings::default());
    let here = std::env::current_dir().unwrap_or_default();
    let here = here.as_os_str().as_bytes();
    let value = match &args[..] {
        [flag, expression] if flag == "-E" => {
            evaluator.eval_source(expression.as_bytes(), Origin::String, here)
        }
        [file] => evaluator.eval_file(&normalise(&[here, b"/", file.as_bytes()].concat())),
        _ => return ExitCode::from(2),
    };
    let text = value
        .and_then(|value| evaluator.force_deep(value))
        .and_then(|value| evaluator.print(value, PrintOptions::INSTANTIATE));
    match text {
        Ok(text) => {
            let written = std::io::stdout().write_all(&[&text[..], b"\n"].concat());
            if written.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            let report = error.report(evaluator.positions(), false);
            let _ = writeln!(std::io::stderr(), "{report}");
            ExitCode::FAILURE
        }
    }
}
