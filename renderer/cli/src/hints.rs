//! What the user can do about an error, in terms of this program's options.

use binary_cache::{ClosureError, FetchError, PushError, Remedy, Unavailable};
use niphas_cache_args::{CacheArgsError, login_hint, unavailable_hint};
use nix_builder::engine::EngineError;

use crate::selection::SelectionArgs;

/// What the user can do about it, if that is known.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(error) = error.downcast_ref() {
        return hint_of_repository(error);
    }
    if let Some(error) = error.downcast_ref::<CacheArgsError>() {
        return error.hint();
    }
    if let Some(EngineError::Unknown(_)) = error.downcast_ref() {
        let hint =
            "name caches that have them, and whom to trust: --cache URL --trusted-public-key KEY";
        return Some(hint.to_owned());
    }
    if let Some(error) = error.downcast_ref::<Unavailable>() {
        return Some(unavailable_hint(error));
    }
    match error.downcast_ref() {
        Some(ClosureError::Unavailable(paths)) => paths.first().map(unavailable_hint),
        _ => hint_of_push(error.downcast_ref()?),
    }
}

/// What to do about a path that environments of a flake need, and no cache gives.
pub(crate) fn missing_hint(path: &Unavailable, selection: &SelectionArgs) -> String {
    let Remedy::Push { cache } = path.remedy() else {
        return unavailable_hint(path);
    };
    let words = selection.words();
    let which = cache.map_or("<cache>".to_owned(), |cache| format!("'{cache}'"));
    format!(
        "build what the environments need, and push it:\n  nix build --no-link $(niphas roots{words})\n  \
         niphas roots{words} --paths | niphas cache push --to {which} --sign-key <secret key> -"
    )
}

fn hint_of_repository(error: &niphas_gitops::Error) -> Option<String> {
    use niphas_gitops::Error::{
        BranchOfItself, Empties, EmptyRepository, NoBranch, OtherOwner, Refused, UnknownSource,
    };
    let allow = match error {
        Empties { .. } => {
            return Some("if that is intended, allow it with --allow-empty".to_owned());
        }
        NoBranch { branch, existing } => {
            let nearest = niphas_render::nearest(branch, existing.iter().map(String::as_str));
            return Some(match nearest {
                Some(nearest) => format!("did you mean '{nearest}'?"),
                None => format!(
                    "create it from the default branch with --create-branch {branch}, or name another"
                ),
            });
        }
        Refused {
            by_force: false, ..
        } => "--create-branch NAME does that",
        BranchOfItself(_) => "--branch NAME does that",
        EmptyRepository { .. } => {
            return Some("name the branch to make: --branch main".to_owned());
        }
        OtherOwner { .. } => {
            "if the flake moved, or this one should replace the other's workloads, allow it once with --take-over"
        }
        UnknownSource {
            has_revision: false,
            ..
        } => "if it is not older, allow it once with --allow-unknown-source",
        UnknownSource { .. } => {
            "if the source's history was rewritten, allow it once with --allow-unknown-source"
        }
        error => return error.hint(),
    };
    error.hint().map(|hint| format!("{hint}; {allow}"))
}

fn hint_of_push(error: &PushError) -> Option<String> {
    if let PushError::Unsound { .. } = error {
        return Some(
            "check whether the store is damaged: nix-store --verify --check-contents".to_owned(),
        );
    }
    let (PushError::Cache(source) | PushError::Upload { source, .. }) = error else {
        return None;
    };
    match source {
        FetchError::Status {
            status: 401 | 403, ..
        } => Some(login_hint("the cache")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use niphas_gitops::Error;

    use super::*;

    #[test]
    fn what_this_program_can_allow_is_named() {
        let (environment, recorded) = ("staging".to_owned(), "0123abc".to_owned());
        let empties = Error::Empties {
            environment: environment.clone(),
            files: 3,
        };
        assert_eq!(
            hint(&empties.into()).as_deref(),
            Some("if that is intended, allow it with --allow-empty")
        );
        let unknown = Error::UnknownSource {
            environment,
            recorded,
            has_revision: true,
        };
        assert_eq!(
            hint(&unknown.into()).as_deref(),
            Some(
                "fetch the source's whole history (a shallow clone lacks it); if the source's history \
                 was rewritten, allow it once with --allow-unknown-source"
            )
        );
        let other = Error::OtherOwner {
            environment: "staging".to_owned(),
            theirs: "github.com/acme/shop".to_owned(),
            ours: "github.com/acme/billing".to_owned(),
        };
        assert!(hint(&other.into()).is_some_and(|hint| hint.contains("--take-over")));
    }
}
