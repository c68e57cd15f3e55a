//! The derivations of a run as a table: all that the picture shows, for keyboards and readers of screens, too.

use std::cmp::Reverse;

use maud::{Markup, html};

use crate::frame::{Frame, build_tag};
use crate::model::{BuildNode, Run};
use crate::paths;
use crate::sources::rest;
use crate::text::{derivation_name, duration, name};

/// More derivations are not listed.
const ROWS: usize = 500;

/// What failed comes first, then what is under way; within a state the longest builds.
pub(crate) fn table(frame: &Frame<'_>, run: &Run) -> Markup {
    let builds = &run.builds;
    let mut sorted: Vec<&BuildNode> = builds.iter().collect();
    sorted.sort_by_key(|build| (build.state, Reverse(build.took)));
    html! {
        div.scroll tabindex="0" role="region" aria-label="Derivations" {
            table.rows {
                thead { tr {
                    th scope="col" { "Derivation" } th scope="col" { "State" }
                    th scope="col" { "System" } th scope="col" { "Job" } th.number scope="col" { "Time" }
                } }
                tbody { @for build in sorted.iter().take(ROWS) { (row(frame, run, build)) } }
            }
        }
        (rest(builds.len(), ROWS, "derivation"))
    }
}

fn row(frame: &Frame<'_>, run: &Run, build: &BuildNode) -> Markup {
    let log = paths::log_of_run(&build.derivation, &run.source, &run.summary.id);
    let words = derivation_name(&build.derivation);
    html! {
        tr {
            th scope="row" title=(name(&build.derivation)) {
                @if build.has_log { a href=(frame.href(&log)) { (words) } } @else { (words) }
            }
            td { (build_tag(build.state)) }
            td data-label="System" { (name(&build.system)) }
            td data-label="Job" { @if let Some(job) = &build.job { code.long { (name(job)) } } }
            td.number data-label="Time" { @if let Some(took) = build.took { (duration(took)) } }
        }
    }
}
