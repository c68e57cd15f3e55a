//! The report of a run in forms for programs, pull requests and browsers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use niphas_render::RenderedEnvironment;
use niphas_review::{Picture, Review};
use niphas_terminal::print_bytes;
use serde_json::Value;

use crate::failure::Failure;

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// For scripts
    Json,
    /// For a comment of a pull request
    Markdown,
    /// For browsers: one file, with a picture of the sizes
    Html,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReportForm {
    Json,
    Markdown,
    Html,
}

/// A file to write a report to.
#[derive(Clone, Debug)]
pub(super) struct ReportFile {
    path: PathBuf,
    pub(super) form: ReportForm,
}

impl ReportFile {
    /// Reads the path from a command line; its ending says the form.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        let ending = path.extension().and_then(|ending| ending.to_str());
        let form = match ending {
            Some("json") => ReportForm::Json,
            Some("md") => ReportForm::Markdown,
            Some("html") => ReportForm::Html,
            _ => return Err("expected a file that ends in .md, .html or .json".to_owned()),
        };
        Ok(Self { path, form })
    }

    /// Writes the report.
    pub(super) fn write(&self, text: &str) -> Result<(), Failure> {
        let path = self.path.display();
        let written = std::fs::write(&self.path, text);
        Ok(written.with_context(|| format!("failed to write the report '{path}'"))?)
    }
}

/// What a run did or would do.
pub(super) struct Document<'a> {
    pub(super) json: Value,
    pub(super) review: &'a Review,
    pub(super) patch: Option<&'a str>,
    /// What was rendered, if anything had to be.
    pub(super) rendered: Option<&'a BTreeMap<String, RenderedEnvironment>>,
    /// What the report is about: what, and which.
    pub(super) facts: Vec<(&'static str, String)>,
}

impl Document<'_> {
    pub(super) fn text(&self, form: ReportForm) -> String {
        match form {
            ReportForm::Json => self.json.to_string(),
            ReportForm::Markdown => self.review.markdown(self.patch),
            ReportForm::Html => self.review.html(&self.picture(), &self.facts, self.patch),
        }
    }

    /// The sizes of all closures, if any of them may have changed.
    fn picture(&self) -> Picture {
        let mut picture = Picture::default();
        let rendered = self.rendered.filter(|_| !self.review.is_empty());
        for (name, environment) in rendered.into_iter().flatten() {
            let files = environment.files.iter();
            let files = files.map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
            picture.add(name, files, self.review);
        }
        picture
    }
}

/// Prints what the changes mean.
pub(super) fn print_summary(review: &Review) {
    if !review.is_empty() {
        print_bytes(format!("\n{}", review.text()));
    }
}
