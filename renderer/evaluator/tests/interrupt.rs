//! Ending an evaluation from another thread.
#![expect(clippy::expect_used, reason = "a test that cannot go on is to fail")]

use std::time::Duration;

use nix_evaluator::io::LocalIo;
use nix_evaluator::{Bump, ErrorKind, Evaluator, Interrupt, Limits, Origin, Settings};

/// It takes minutes, and calls a function all the time.
const LONG: &[u8] =
    b"builtins.foldl' (sum: n: sum + builtins.length (builtins.genList (i: i) 1000)) 0 (builtins.genList (n: n) 100000000)";

fn evaluate(interrupt: &Interrupt, source: &[u8]) -> Result<(), (ErrorKind, String)> {
    let (arena, io) = (Bump::new(), LocalIo::default());
    let settings = Settings {
        limits: Limits {
            interrupt: Some(interrupt.clone()),
            ..Limits::default()
        },
        ..Settings::default()
    };
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    let result = evaluator.eval_source(source, Origin::String, b"/");
    result
        .map(|_| ())
        .map_err(|error| (error.kind, error.message.clone()))
}

fn interrupted() -> Result<(), (ErrorKind, String)> {
    Err((
        ErrorKind::Limit,
        "the evaluation was interrupted".to_owned(),
    ))
}

#[test]
fn an_evaluation_ends_when_it_is_interrupted() {
    let interrupt = Interrupt::default();
    let running = {
        let interrupt = interrupt.clone();
        std::thread::spawn(move || evaluate(&interrupt, LONG))
    };
    std::thread::sleep(Duration::from_millis(100));
    interrupt.interrupt();
    assert_eq!(running.join().expect("no panic"), interrupted());
    // And so does each that begins later.
    assert_eq!(evaluate(&interrupt, LONG), interrupted());
}

#[test]
fn what_is_not_interrupted_goes_on() {
    let other = Interrupt::default();
    other.interrupt();
    assert_eq!(evaluate(&Interrupt::default(), b"(x: x) 1"), Ok(()));
}

/// `tryEval` does not catch it.
#[test]
fn a_program_cannot_go_on() {
    let interrupt = Interrupt::default();
    interrupt.interrupt();
    let source = b"builtins.tryEval ((x: throw \"never\") 1)";
    assert_eq!(evaluate(&interrupt, source), interrupted());
}
