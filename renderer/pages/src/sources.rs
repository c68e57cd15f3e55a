//! The list of sources, and a source with its runs.

use maud::{Markup, html};
use nix_formats::shortened;

use crate::frame::{Crumbs, Frame, Update, state_tag};
use crate::model::{PullRequest, RunSummary, Source, SourceName, State, Trigger};
use crate::paths;
use crate::text::{ago, counted, duration, message, name, outward, revision};

/// More sources are not listed.
const SOURCES: usize = 1_000;
/// More runs are not listed.
const RUNS: usize = 200;
/// More pull requests are not listed.
const PULL_REQUESTS: usize = 100;

/// All sources that a reader may see, in the order in which they are listed.
pub fn sources_page(frame: &Frame<'_>, sources: &[Source]) -> String {
    let count = |state: State| {
        sources
            .iter()
            .filter(|source| source.state == state)
            .count() as u64
    };
    let content = html! {
        h1 { "Sources" }
        @if sources.is_empty() {
            p { "There is no source yet. Apply a " code { "NiphasSource" } " to have one." }
        } @else {
            ul.cards {
                (card(sources.len() as u64, if sources.len() == 1 { "source" } else { "sources" }))
                @for (number, what) in [
                    (count(State::Failed), "failed"),
                    (count(State::Running), "running"),
                    (count(State::Succeeded), "succeeded"),
                ] { @if number > 0 { (card(number, what)) } }
            }
            div.scroll tabindex="0" role="region" aria-label="Sources" {
                table.rows {
                    thead { tr {
                        th scope="col" { "Source" } th scope="col" { "State" } th scope="col" { "Revision" }
                        th scope="col" { "Repository" } th.number scope="col" { "Workloads" }
                    } }
                    tbody { @for source in sources.iter().take(SOURCES) { (source_row(frame, source)) } }
                }
            }
            (rest(sources.len(), SOURCES, "source"))
        }
    };
    frame.page("Sources", &Vec::new(), Update::Never, &content)
}

pub(crate) fn card(number: u64, what: &str) -> Markup {
    html! { li { b { (number) } " " span { (what) } } }
}

/// How many are not listed.
pub(crate) fn rest(count: usize, limit: usize, what: &str) -> Markup {
    let more = count.saturating_sub(limit) as u64;
    html! { @if more > 0 { p { (counted(more, &format!("more {what}"))) " not listed." } } }
}

fn source_row(frame: &Frame<'_>, source: &Source) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href=(frame.href(&paths::source(&source.name))) { (name(&source.name.name)) }
                div.muted { (name(&source.name.namespace)) }
            }
            td {
                (state_tag(source.state))
                @if let Some(text) = &source.message { div.reason { (name(text)) } }
            }
            td {
                @if let Some(last) = &source.revision { (revision(last)) } @else { span.muted { "none seen" } }
                @if let Some(seen) = source.seen { div.muted { (ago(seen, frame.now)) } }
            }
            td.long { (name(&source.repository)) div.muted { (name(&source.branch)) } }
            td.number data-label="Workloads" { (source.counts.workloads) div.muted { (counted(source.counts.environments, "environment")) } }
        }
    }
}

/// A source with its runs, the newest first.
pub fn source_page(frame: &Frame<'_>, source: &Source, runs: &[RunSummary]) -> String {
    let title = format!(
        "{}/{}",
        shortened(&source.name.namespace, 80),
        shortened(&source.name.name, 80)
    );
    let content = html! {
        h1 { (name(&title)) }
        p.line { (state_tag(source.state)) @if let Some(text) = &source.message { " " span.reason { (message(text)) } } }
        dl {
            div { dt { "Repository" } dd { (name(&source.repository)) } }
            div { dt { "Branch" } dd { (name(&source.branch)) } }
            @if let Some(last) = &source.revision { div { dt { "Revision" } dd { (revision(last)) } } }
            @if let Some(seen) = source.seen { div { dt { "Seen" } dd { (ago(seen, frame.now)) } } }
            div { dt { "Environments" } dd { (source.counts.environments) } }
            div { dt { "Workloads" } dd { (source.counts.workloads) } }
        }
        section aria-labelledby="runs" {
            h2 #runs { "Runs" }
            @if runs.is_empty() {
                p { "No run yet: the next push to the branch begins one." }
            } @else {
                div.scroll tabindex="0" role="region" aria-labelledby="runs" {
                    table.rows {
                        thead { tr {
                            th scope="col" { "Run" } th scope="col" { "State" } th scope="col" { "Revision" }
                            th scope="col" { "Derivations" } th.number scope="col" { "Time" }
                        } }
                        tbody { @for run in runs.iter().take(RUNS) { (run_row(frame, &source.name, run)) } }
                    }
                }
                (rest(runs.len(), RUNS, "run"))
            }
        }
        @if !source.pull_requests.is_empty() { (pull_requests(&source.pull_requests)) }
    };
    let is_live = runs
        .iter()
        .take(RUNS)
        .any(|run| run.state == State::Running);
    let update = if is_live {
        Update::Reload
    } else {
        Update::Never
    };
    frame.page(&title, &crumbs(&source.name), update, &content)
}

fn run_row(frame: &Frame<'_>, source: &SourceName, run: &RunSummary) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href=(frame.href(&paths::run(source, &run.id))) { (name(&run.id)) }
                div.muted { (trigger(run.trigger)) ", " (ago(run.began, frame.now)) }
            }
            td { (state_tag(run.state)) }
            td { (revision(&run.revision)) }
            td data-label="Derivations" { (builds(run)) }
            td.number data-label="Time" { (duration(run.took)) }
        }
    }
}

fn pull_requests(all: &[PullRequest]) -> Markup {
    html! {
        section aria-labelledby="pull-requests" {
            h2 #pull-requests { "Pull requests" }
            div.scroll tabindex="0" role="region" aria-labelledby="pull-requests" {
                table.rows {
                    thead { tr {
                        th scope="col" { "Number" } th scope="col" { "State" }
                        th scope="col" { "Revision" } th scope="col" { "What it would do" }
                    } }
                    tbody { @for pull in all.iter().take(PULL_REQUESTS) {
                        tr {
                            th scope="row" { (outward(&pull.number.to_string(), pull.link.as_deref())) }
                            td { (state_tag(pull.state)) }
                            td { (revision(&pull.revision)) }
                            td.long data-label="What it would do" { @if let Some(text) = &pull.message { (message(text)) } }
                        }
                    } }
                }
            }
            (rest(all.len(), PULL_REQUESTS, "pull request"))
        }
    }
}

/// How many derivations stand how, in words.
pub(crate) fn builds(run: &RunSummary) -> Markup {
    let counts = [
        (run.builds.failed, "failed"),
        (run.builds.running, "building"),
        (run.builds.waiting, "waiting"),
        (run.builds.built, "built"),
        (run.builds.cached, "in the cache"),
    ];
    let words: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    html! { @if words.is_empty() { span.muted { "none" } } @else { (words.join(", ")) } }
}

pub(crate) fn trigger(trigger: Trigger) -> Markup {
    html! {
        @match trigger {
            Trigger::Push => "push",
            Trigger::Poll => "poll",
            Trigger::PullRequest(number) => { "pull request " (number) },
            Trigger::Request => "request",
        }
    }
}

pub(crate) fn crumbs(source: &SourceName) -> Crumbs {
    let words = format!(
        "{}/{}",
        shortened(&source.namespace, 80),
        shortened(&source.name, 80)
    );
    vec![(words, paths::source(source))]
}
