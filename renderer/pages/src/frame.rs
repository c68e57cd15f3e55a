//! What is around every page.

use std::time::SystemTime;

use maud::{DOCTYPE, Markup, html};

use crate::model::{BuildState, State};
use crate::paths;
use crate::text::{message, name};

/// What all pages need to know.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The path that the service is served below, such as `/niphas`, or nothing.
    pub base: &'a str,
    /// The time at which the page is made.
    pub now: SystemTime,
    /// The version of the service.
    pub version: &'a str,
}

/// A page's place among others: names and paths, the first one first.
pub(crate) type Crumbs = Vec<(String, String)>;

/// How a page keeps up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Update {
    /// It does not.
    Never,
    /// It loads itself again after some seconds.
    Reload,
    /// By a script; without scripts it loads itself again.
    Script,
}

impl Frame<'_> {
    pub(crate) fn href(&self, path: &str) -> String {
        format!("{}{path}", self.base.trim_end_matches('/'))
    }

    pub(crate) fn page(
        &self,
        title: &str,
        crumbs: &Crumbs,
        update: Update,
        content: &Markup,
    ) -> String {
        let title = name(title);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="same-origin";
                    @if update == Update::Reload { meta http-equiv="refresh" content="15"; }
                    @if update == Update::Script { noscript { meta http-equiv="refresh" content="15"; } }
                    title { (title) " · Niphas" }
                    link rel="icon" href="data:,";
                    link rel="stylesheet" href=(self.href(paths::STYLE));
                    @if update == Update::Script { script src=(self.href(paths::SCRIPT)) defer {} }
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header.top {
                        nav aria-label="Breadcrumb" {
                            ol {
                                li { a href=(self.href(paths::SOURCES)) { "Niphas" } }
                                @for (words, path) in crumbs { li { a href=(self.href(path)) { (name(words)) } } }
                            }
                        }
                    }
                    main #content tabindex="-1" { (content) }
                    footer { p { "niphas-eval " (self.version) } }
                }
            }
        };
        page.into_string()
    }
}

/// A page that says one thing, such as that there is no such page.
pub fn message_page(frame: &Frame<'_>, title: &str, text: &str) -> String {
    let content = html! {
        h1 { (name(title)) }
        p { (message(text)) }
        p { a href=(frame.href(paths::SOURCES)) { "All sources" } }
    };
    frame.page(title, &Vec::new(), Update::Never, &content)
}

/// A state: a sign and a word, so that it is known without its colour.
pub(crate) fn state_tag(state: State) -> Markup {
    let (class, sign, word) = match state {
        State::Waiting => ("waiting", "…", "waiting"),
        State::Running => ("running", "▶", "running"),
        State::Succeeded => ("good", "✓", "succeeded"),
        State::Failed => ("bad", "✗", "failed"),
        State::Cancelled => ("waiting", "⊘", "cancelled"),
        State::Skipped => ("waiting", "–", "skipped"),
    };
    tag(class, sign, word)
}

pub(crate) fn build_tag(state: BuildState) -> Markup {
    let (class, sign, word) = build_words(state);
    tag(class, sign, word)
}

/// The class, sign and word of a derivation's state.
pub(crate) fn build_words(state: BuildState) -> (&'static str, &'static str, &'static str) {
    match state {
        BuildState::Failed => ("bad", "✗", "failed"),
        BuildState::DependencyFailed => ("blocked", "⊘", "dependency failed"),
        BuildState::Running => ("running", "▶", "building"),
        BuildState::Waiting => ("waiting", "…", "waiting"),
        BuildState::Built => ("good", "✓", "built"),
        BuildState::Cached => ("cached", "✓", "in the cache"),
    }
}

fn tag(class: &str, sign: &str, word: &str) -> Markup {
    html! { span.state.(class) { span aria-hidden="true" { (sign) } " " (word) } }
}
