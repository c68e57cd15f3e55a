//! Any text is evaluated to a value or an error: within its limits, and without a file, a variable or the network.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nix_evaluator::io::{LocalIo, RestrictedIo, Restriction};
use nix_evaluator::{Bump, Evaluator, Limits, Origin, PrintOptions, Settings};

fuzz_target!(|source: &[u8]| {
    let arena = Bump::new();
    let io = RestrictedIo::new(LocalIo::default(), Restriction::Pure);
    let settings = Settings {
        pure: true,
        limits: Limits {
            time: Some(Duration::from_millis(500)),
            memory: Some(256 << 20),
        },
        max_call_depth: 1000,
        ..Settings::default()
    };
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    let value = evaluator
        .eval_source(source, Origin::String, b"/")
        .and_then(|value| evaluator.force_deep(value));
    match value {
        Ok(value) => {
            let _ = evaluator.print(value, PrintOptions::INSTANTIATE);
        }
        Err(error) => {
            let _ = error.report(evaluator.positions(), true);
        }
    }
});
