//! Many paths that no cache gives, in few lines: each path once, and each cache and reason once.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::error::{Refusal, Unavailable};

/// Paths of a cache and reason that are named.
const FEW: usize = 3;

/// The paths, each with what `needed_for` adds to its line, of which `shown` are named; then each cache with each of its
/// reasons, how many of the paths it is for, and the first few of those.
///
/// A cache that cannot be asked, or that refuses access, counts as one reason however its answers differ.
pub fn summary<'a>(
    paths: &[&'a Unavailable],
    shown: usize,
    needed_for: impl Fn(&'a Unavailable) -> String,
) -> String {
    let mut lines: Vec<String> = Vec::new();
    for path in paths.iter().take(shown) {
        lines.push(format!("  {}{}", path.needed(), needed_for(path)));
    }
    if let Some(more) = paths.len().checked_sub(shown).filter(|more| *more > 0) {
        lines.push(format!("  and {more} more"));
    }
    let reasons = reasons(paths);
    if !reasons.is_empty() {
        lines.push("what the caches said:".to_owned());
    }
    for reason in reasons {
        let (cache, refusal) = (reason.cache, reason.refusal);
        lines.push(format!("  {cache} {refusal}{}", reason.scope(paths.len())));
    }
    lines.join("\n")
}

/// What one cache said of some paths.
struct Reason<'a> {
    cache: &'a str,
    /// The first.
    refusal: &'a Refusal,
    paths: Vec<&'a Unavailable>,
}

impl Reason<'_> {
    /// Which paths it is for, in brackets; nothing if there is but one in all.
    fn scope(&self, all: usize) -> String {
        let count = self.paths.len();
        if all == 1 {
            return String::new();
        }
        if count == all {
            return format!(" (all {all} paths)");
        }
        let few = self.paths.iter().take(FEW);
        let few: Vec<String> = few
            .map(|path| format!("'{}'", path.store_dir.print(&path.path)))
            .collect();
        let mut scope = format!(" ({count} of {all} paths: {}", few.join(", "));
        if count > FEW {
            let _ = write!(scope, " and {} more", count - FEW);
        }
        scope + ")"
    }
}

fn reasons<'a>(paths: &[&'a Unavailable]) -> Vec<Reason<'a>> {
    let mut reasons: Vec<Reason<'a>> = Vec::new();
    let mut known: HashMap<(&str, String), usize> = HashMap::new();
    for path in paths {
        for (cache, refusal) in path.refusals.iter() {
            let kind = match refusal {
                // Its text names the file that was asked for.
                Refusal::Failed(_) => String::new(),
                refusal => refusal.to_string(),
            };
            let index = *known.entry((cache, kind)).or_insert(reasons.len());
            if index == reasons.len() {
                reasons.push(Reason {
                    cache,
                    refusal,
                    paths: Vec::new(),
                });
            }
            reasons[index].paths.push(path);
        }
    }
    reasons
}
