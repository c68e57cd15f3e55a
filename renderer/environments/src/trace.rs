//! Which steps of an evaluation a user sees on the way to an error.

use nix_evaluator::{EvalError, Origin, PosIdx, Positions};

/// The files of `niphas.lib`, in whichever folder or flake.
const NIXLIB: [&[u8]; 12] = [
    b"/nixlib/assemble.nix",
    b"/nixlib/default.nix",
    b"/nixlib/environment.nix",
    b"/nixlib/fitting.nix",
    b"/nixlib/flake-module.nix",
    b"/nixlib/manifests.nix",
    b"/nixlib/merge.nix",
    b"/nixlib/modules/collect.nix",
    b"/nixlib/modules/default.nix",
    b"/nixlib/modules/environment.nix",
    b"/nixlib/modules/merge.nix",
    b"/nixlib/modules/workload.nix",
];

/// Takes away the steps in what calls the user's code: Nix's own caller of flakes, and `niphas.lib` as far as a place in the
/// user's code remains.
pub(crate) fn hide_what_is_not_the_users(error: &mut EvalError, positions: &Positions<'_>) {
    let origin = |position: PosIdx| positions.resolve(position).map(|found| found.origin);
    let calls_flakes = |origin: &Origin| matches!(origin, Origin::Internal("call-flake.nix"));
    let is_nixlib = |origin: &Origin| matches!(origin, Origin::File(path) if NIXLIB.iter().any(|file| path.ends_with(file)));
    error
        .traces
        .retain(|trace| trace.always || !origin(trace.position).is_some_and(calls_flakes));
    let is_users = |position| origin(position).is_some_and(|origin| !is_nixlib(origin));
    let has_users_step = error.traces.iter().any(|trace| is_users(trace.position));
    if has_users_step || is_users(error.position) {
        error
            .traces
            .retain(|trace| trace.always || !origin(trace.position).is_some_and(is_nixlib));
    }
    if has_users_step && origin(error.position).is_some_and(is_nixlib) {
        error.position = PosIdx::NONE;
    }
}

#[cfg(test)]
mod tests {
    use nix_evaluator::io::LocalIo;
    use nix_evaluator::{Bump, ErrorKind, Evaluator, Settings};

    use super::*;

    const FLAKE: &str = "/src/flake.nix";
    const LIBRARY: &str = "/deps/nixlib/environment.nix";

    /// The report of an error in a source text, on the way through others; by `place` is the error itself.
    fn report(place: Option<&str>, steps: &[&str]) -> String {
        let (arena, io) = (Bump::new(), LocalIo::default());
        let mut evaluator = Evaluator::new(&arena, &io, Settings::default());
        let mut position = |name: &str| {
            let origin = match name {
                "call-flake.nix" => Origin::Internal("call-flake.nix"),
                file => Origin::File(file.as_bytes().to_vec()),
            };
            match evaluator.eval_source(b"{ }.x", origin, b"/") {
                Ok(_) => panic!("there is no such attribute"),
                Err(error) => error.position,
            }
        };
        let mut error = EvalError::new(ErrorKind::Eval, "it fails");
        if let Some(place) = place {
            error = error.at(position(place));
        }
        for step in steps {
            error = error.trace(position(step), "while doing something");
        }
        error = error.context("while evaluating workload 'web'");
        hide_what_is_not_the_users(&mut error, evaluator.positions());
        error.report(evaluator.positions(), false)
    }

    #[test]
    fn steps_of_niphas_are_hidden_and_the_users_stay() {
        let text = report(Some(FLAKE), &[LIBRARY, FLAKE, LIBRARY, "call-flake.nix"]);
        assert!(
            !text.contains("nixlib") && !text.contains("call-flake"),
            "{text}"
        );
        assert_eq!(text.matches(FLAKE).count(), 2, "{text}");
        assert!(text.contains("while evaluating workload 'web'"), "{text}");
    }

    #[test]
    fn an_error_in_the_library_is_at_the_call_of_it() {
        let text = report(Some(LIBRARY), &[FLAKE]);
        assert!(!text.contains("nixlib") && text.contains(FLAKE), "{text}");
    }

    #[test]
    fn the_library_is_named_where_nothing_else_is() {
        let text = report(Some(LIBRARY), &[LIBRARY, "call-flake.nix"]);
        assert_eq!(text.matches(LIBRARY).count(), 2, "{text}");
        assert!(!text.contains("call-flake"), "{text}");
    }
}
