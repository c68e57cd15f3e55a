//! Which steps of an evaluation a user sees on the way to an error.

use nix_evaluator::{ErrorKind, EvalError, Origin, PosIdx, Positions};

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

/// The one that reads definitions of modules.
const MERGING: &[u8] = b"/nixlib/modules/merge.nix";

/// What definitions of modules do that need themselves.
const NEEDS_ITSELF: &str = "\nhint: a module defines an attribute by its own value in `config`, or has `if` decide on `config` which attributes there are: \
                            read another attribute, or write lib.mkIf";

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
    let is_merging =
        |origin: &Origin| matches!(origin, Origin::File(path) if path.ends_with(MERGING));
    let needs_itself = error.kind == ErrorKind::InfiniteRecursion
        && !has_users_step
        && origin(error.position).is_some_and(is_merging);
    // What `niphas.lib` says itself names the place.
    let says_all = needs_itself || error.kind == ErrorKind::Thrown;
    if has_users_step || is_users(error.position) || says_all {
        error
            .traces
            .retain(|trace| trace.always || !origin(trace.position).is_some_and(is_nixlib));
    }
    if (has_users_step || needs_itself) && origin(error.position).is_some_and(is_nixlib) {
        error.position = PosIdx::NONE;
    }
    if needs_itself {
        error.message.push_str(NEEDS_ITSELF);
    }
}

/// Where the sources of flakes are for Nix.
const STORE: &str = "/nix/store/";

/// Names the files that a message of modules is about as users know them, below an environment: `niphas.lib` and nixpkgs' modules
/// know them only by their paths in the store. `shown`: a path as messages name it.
pub(crate) fn name_the_users_files(error: &mut EvalError, shown: &dyn Fn(&[u8]) -> String) {
    let is_below = error.traces.iter().any(|trace| trace.always);
    if error.kind != ErrorKind::Thrown || !is_below || !error.message.contains(STORE) {
        return;
    }
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=/".contains(&byte);
    let mut message = String::with_capacity(error.message.len());
    let mut rest = error.message.as_str();
    while let Some(start) = rest.find(STORE) {
        let (before, after) = rest.split_at(start);
        let length = after.bytes().position(|byte| !is_inner(byte));
        // At the end of a sentence.
        let path = after[..length.unwrap_or(after.len())].trim_end_matches('.');
        message.push_str(before);
        message.push_str(&shown(path.as_bytes()));
        rest = &after[path.len()..];
    }
    message.push_str(rest);
    error.message = message;
}

#[cfg(test)]
mod tests {
    use nix_evaluator::io::LocalIo;
    use nix_evaluator::{Bump, Evaluator, Settings};

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
    fn files_in_messages_are_those_of_users() {
        let shown = |path: &[u8]| {
            let path = String::from_utf8_lossy(path);
            path.replace("/nix/store/abc-source", "/home/me/shop")
        };
        let message = "`args` differs: at /nix/store/abc-source/a.nix:4:5, and in /nix/store/abc-source/b.nix. Use /nix/store/x-y";
        let mut error = EvalError::new(ErrorKind::Thrown, message);
        name_the_users_files(&mut error, &shown);
        assert_eq!(error.message, message, "below no environment");
        error = error.context("while evaluating workload 'web'");
        name_the_users_files(&mut error, &shown);
        assert_eq!(
            error.message,
            "`args` differs: at /home/me/shop/a.nix:4:5, and in /home/me/shop/b.nix. Use /nix/store/x-y"
        );
    }

    #[test]
    fn definitions_that_need_themselves_have_a_hint() {
        let (arena, io) = (Bump::new(), LocalIo::default());
        let mut evaluator = Evaluator::new(&arena, &io, Settings::default());
        let origin = Origin::File(b"/deps/nixlib/modules/merge.nix".to_vec());
        let text = b"let x = { y = x.y; }; in x.y";
        let mut error = match evaluator.eval_source(text, origin, b"/") {
            Ok(_) => panic!("it needs itself"),
            Err(error) => error.context("while evaluating workload 'web'"),
        };
        hide_what_is_not_the_users(&mut error, evaluator.positions());
        let text = error.report(evaluator.positions(), false);
        assert!(
            text.contains("lib.mkIf") && !text.contains("nixlib"),
            "{text}"
        );
    }

    #[test]
    fn the_library_is_named_where_nothing_else_is() {
        let text = report(Some(LIBRARY), &[LIBRARY, "call-flake.nix"]);
        assert_eq!(text.matches(LIBRARY).count(), 2, "{text}");
        assert!(!text.contains("call-flake"), "{text}");
    }
}
