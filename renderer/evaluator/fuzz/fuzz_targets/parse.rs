//! Any bytes give a tree that can be printed, or an error that lies within them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_evaluator::ast_print::{PathContext, print};
use nix_evaluator::parser::{ParseOptions, parse_with};

fuzz_target!(|source: &[u8]| {
    for pipe_operators in [false, true] {
        match parse_with(source, ParseOptions { pipe_operators }) {
            Ok(ast) => {
                let paths = PathContext {
                    base: b"/",
                    home: b"/",
                };
                print(&ast, paths);
            }
            Err(error) => {
                assert!(error.start <= error.end && error.end as usize <= source.len());
            }
        }
    }
});
