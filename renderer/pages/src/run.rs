//! The page of a run.

use maud::{Markup, html};
use nix_formats::shortened;

use crate::frame::{Frame, Update, state_tag};
use crate::graph::graph;
use crate::graph_svg::svg;
use crate::log::{last_lines, lines_of};
use crate::model::{Failure, Run, Stage, State};
use crate::sources::{builds, crumbs, rest, trigger};
use crate::text::{ago, counted, derivation_name, duration, link, message, name, revision};
use crate::{derivations, paths};

/// More failures are not shown.
const FAILURES: usize = 20;
/// Lines of a failure's log, and of what is said of a run.
const LINES: usize = 25;
/// More stages are not shown: there are five.
const STAGES: usize = 20;

/// A run: its stages, what failed, its derivations.
pub fn run_page(frame: &Frame<'_>, run: &Run) -> String {
    let summary = &run.summary;
    let title = format!("Run {}", shortened(&summary.id, 80));
    let content = html! {
        h1 { (name(&title)) }
        p.line { (state_tag(summary.state)) " " (revision(&summary.revision)) }
        dl {
            div { dt { "Began" } dd { (ago(summary.began, frame.now)) } }
            div { dt { "Trigger" } dd { (trigger(summary.trigger)) } }
            div { dt { "Time" } dd { (duration(summary.took)) } }
            div { dt { "Derivations" } dd { (builds(summary)) } }
            @if let Some(result) = &run.result { div { dt { "Result" } dd { (link(result)) } } }
            @if run.has_closures {
                div { dt { "Closures" } dd { a href=(frame.href(&paths::closures(&run.source, &summary.id))) { "Sizes" } } }
            }
        }
        @if let Some(text) = &run.message {
            pre.log tabindex="0" role="region" aria-label="How it ended" { (lines_of(&last_lines(text.as_bytes(), LINES).0)) }
        }
        section aria-labelledby="stages" {
            h2 #stages { "Stages" }
            ol.stages { @for stage in run.stages.iter().take(STAGES) { (self::stage(stage)) } }
        }
        @if !run.failures.is_empty() {
            section aria-labelledby="failures" {
                h2 #failures { "Failures" }
                @for failure in run.failures.iter().take(FAILURES) { (self::failure(frame, run, failure)) }
                (rest(run.failures.len(), FAILURES, "failure"))
            }
        }
        @if !run.builds.is_empty() { (pictures(frame, run)) }
    };
    let is_live = matches!(summary.state, State::Running | State::Waiting);
    let update = if is_live {
        Update::Reload
    } else {
        Update::Never
    };
    frame.page(&title, &crumbs(&run.source), update, &content)
}

fn stage(stage: &Stage) -> Markup {
    html! {
        li {
            b { (name(&stage.name)) }
            (state_tag(stage.state))
            span.number { @if let Some(took) = stage.took { (duration(took)) } }
            @if let Some(detail) = &stage.detail { span.muted { (name(detail)) } }
        }
    }
}

fn failure(frame: &Frame<'_>, run: &Run, failure: &Failure) -> Markup {
    let log = paths::log_of_run(&failure.derivation, &run.source, &run.summary.id);
    let (lines, _) = last_lines(&failure.log, LINES);
    let label = format!(
        "Last lines of the log of {}",
        derivation_name(&failure.derivation)
    );
    html! {
        article.failure {
            h3 { (derivation_name(&failure.derivation)) }
            p { span.reason { (message(&failure.reason)) } }
            p.muted {
                @if failure.dependents > 0 { (counted(failure.dependents, "other derivation")) " cannot be built without it. " }
                a href=(frame.href(&log)) { "The whole log" }
            }
            @if !lines.is_empty() {
                pre.log tabindex="0" role="region" aria-label=(label) { (lines_of(&lines)) }
            }
            @if let Some(hint) = &failure.hint { p { "To have it built again: " code.long { (message(hint)) } } }
        }
    }
}

fn pictures(frame: &Frame<'_>, run: &Run) -> Markup {
    let graph = graph(&run.builds);
    let is_short = run.builds.len() <= FAILURES;
    html! {
        section aria-labelledby="graph" {
            h2 #graph { "Derivations" }
            p {
                "What the cache lacked, and what it had of the inputs: inputs stand on the left of what needs them. "
                "Finished derivations of a large run share boxes."
            }
            div.scroll.picture tabindex="0" role="region" aria-labelledby="graph" { (svg(frame, &graph, run)) }
            (rest(graph.more, 0, "derivation"))
            details open[is_short] {
                summary { "As a table" }
                (derivations::table(frame, run))
            }
        }
    }
}
