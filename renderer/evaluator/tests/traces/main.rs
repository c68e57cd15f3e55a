//! Reports of errors, traces and all, are those of Nix 2.34.

use nix_evaluator::io::LocalIo;
use nix_evaluator::{Bump, Evaluator, Origin, Settings};

/// Expressions and what `nix-instantiate --eval --strict --show-trace -E` says of each, `---` between the two and `===`
/// between cases.
const EXPECTED: &str = include_str!("expected.txt");

fn report(expression: &str) -> String {
    let (arena, io) = (Bump::new(), LocalIo::default());
    let settings = Settings {
        show_trace: true,
        ..Settings::default()
    };
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    let result = evaluator
        .eval_source(expression.as_bytes(), Origin::String, b"/")
        .and_then(|value| evaluator.force_deep(value));
    match result {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.report(evaluator.positions(), true),
    }
}

#[test]
fn reports_are_those_of_nix() {
    let mut differences = Vec::new();
    for case in EXPECTED.split("===\n") {
        let (expression, expected) = case.split_once("\n---\n").expect("two parts");
        let found = report(expression);
        if found != expected.trim_end_matches('\n') {
            differences.push(format!("{expression}\nNix:\n{expected}\nours:\n{found}\n"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_value_that_failed_is_not_tried_again() {
    let text = report(
        r#"let a = throw "first"; b = builtins.addErrorContext "forcing b" a; in
           builtins.seq (builtins.tryEval b).success (builtins.addErrorContext "forcing a" a)"#,
    );
    let steps: Vec<_> = text
        .lines()
        .filter(|line| line.contains("… forcing "))
        .collect();
    // Its trace remembers the way on which it failed.
    assert!(
        steps[0].contains("forcing a") && steps[1].contains("forcing b"),
        "{text}"
    );
}

#[test]
fn a_trace_that_is_cut_short_says_so() {
    let (arena, io) = (Bump::new(), LocalIo::default());
    let mut evaluator = Evaluator::new(&arena, &io, Settings::default());
    let source = br#"
      let f = n: if n == 0 then throw "end" else builtins.add (builtins.sub (f (n - 1)) 1) 1; in f 20
    "#;
    let error = evaluator
        .eval_source(source, Origin::String, b"/")
        .err()
        .expect("an error");
    let report = error.report(evaluator.positions(), false);
    assert!(
        report.contains(
            "(stack trace truncated; use '--show-trace' to show the full, detailed trace)"
        )
    );
    assert!(report.lines().count() < 30, "{report}");
}

#[test]
fn source_lines_are_shown_byte_for_byte() {
    let (arena, io) = (Bump::new(), LocalIo::default());
    let mut evaluator = Evaluator::new(&arena, &io, Settings::default());
    let error = evaluator
        .eval_source(b"throw \"\xff\"", Origin::String, b"/")
        .err()
        .expect("an error");
    let report = error.report_bytes(evaluator.positions(), true);
    assert!(report.windows(9).any(|window| window == b"throw \"\xff\""));
    let report = error.report(evaluator.positions(), true);
    assert!(report.contains("throw \"\u{fffd}\""));
}
