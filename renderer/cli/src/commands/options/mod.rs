//! `niphas options`

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::anyhow;
use niphas_render::{EnvironmentOption, option_meant, options, options_below};
use niphas_terminal::print_bytes;
use serde_json::json;

use crate::failure::Failure;

#[cfg(test)]
mod page;

/// Describe the options of environments and workloads
///
/// Prints the option at PATH, and the names of those in it: what it may be, its default, an example and what it means. The same stands
/// on a page with a search: docs/reference/options.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas options                      what there is
  niphas options service              a Service's options
  niphas options env.LOG_LEVEL.valueFrom
  niphas options podTemplate.spec.tolerations
  niphas options --output json        all of them, for editors")]
pub(crate) struct Args {
    /// An option of the environment or of a workload, like service.ports
    path: Option<String>,
    /// Print this form; JSON has the options of all depths
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let all = options(false);
        let path = self.path.as_deref().unwrap_or_default();
        let found = options_below(&all, path);
        if found.is_empty() {
            let meant = option_meant(&all, path);
            let hint = meant.map_or_else(
                || "run the command without a path to see what there is".to_owned(),
                |meant| format!("did you mean '{meant}'?"),
            );
            return Err(anyhow!("no option '{path}'; {hint}").into());
        }
        let text = match self.output {
            Output::Json => json!({ "options": found }).to_string() + "\n",
            Output::Text => text(path, &found),
        };
        print_bytes(text.as_bytes());
        Ok(ExitCode::SUCCESS)
    }
}

/// The options that have the path in full, and one line for each of those right below them.
fn text(path: &str, found: &[&EnvironmentOption]) -> String {
    let mut text = String::new();
    if path.is_empty() {
        list(&mut text, found.iter().filter(|option| option.depth() <= 2));
        text.push_str("\nOf a workload:\n");
        list(
            &mut text,
            found
                .iter()
                .filter(|option| option.depth() == 3 && option.path.starts_with("workloads.")),
        );
        return text;
    }
    // One of the environment can have the name of one of a workload.
    let heads = found
        .iter()
        .filter(|option| !found.iter().any(|other| is_right_below(option, other)))
        .filter(|option| {
            !found
                .iter()
                .any(|other| option.path.starts_with(&format!("{}.", other.path)))
        });
    for head in heads {
        if !text.is_empty() {
            text.push('\n');
        }
        describe(&mut text, head);
        let below: Vec<_> = found
            .iter()
            .filter(|option| is_right_below(option, head))
            .collect();
        if !below.is_empty() {
            text.push('\n');
            list(&mut text, below.into_iter());
        }
    }
    text
}

fn is_right_below(option: &EnvironmentOption, head: &EnvironmentOption) -> bool {
    let rest = option.path.strip_prefix(&head.path);
    let names = option.depth().saturating_sub(head.depth());
    // The elements of a list are no option of their own.
    rest.is_some_and(|rest| rest.starts_with('.'))
        && (names == 1 || (names == 2 && rest.is_some_and(|rest| rest.starts_with(".*."))))
}

fn describe(text: &mut String, option: &EnvironmentOption) {
    let required = if option.required { ", required" } else { "" };
    let _ = writeln!(text, "{}\n  {}{required}", option.path, option.kind);
    if !option.description.is_empty() {
        let _ = writeln!(text, "  {}", option.description);
    }
    for (name, value) in [("default", &option.default), ("example", &option.example)] {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name}: {value}");
        }
    }
}

/// A line for each option: its path, what it may be, and the beginning of what it means.
fn list<'o>(text: &mut String, options: impl Iterator<Item = &'o &'o EnvironmentOption>) {
    for option in options {
        let first = option.description.split(". ").next().unwrap_or_default();
        let path = option
            .path
            .strip_prefix("workloads.<name>.")
            .unwrap_or(&option.path);
        let _ = writeln!(
            text,
            "  {path}  ({})  {}",
            option.kind,
            first.trim_end_matches('.')
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(path: &str) -> String {
        let all = options(false);
        text(path, &options_below(&all, path))
    }

    #[test]
    fn an_option_is_described_with_those_in_it() {
        insta::assert_snapshot!(printed("strategy"), @r"
        workloads.<name>.strategy
          set
          How pods are replaced when the workload changes.
          example: { maxSurge = 1; maxUnavailable = 0; }

          strategy.maxSurge  (integer or string)  How many pods more than wanted there may be meanwhile: a number or percentage
          strategy.maxUnavailable  (integer or string)  How many pods fewer than wanted there may be meanwhile: a number or percentage
          strategy.partition  (integer, 0 or more)  Of a StatefulSet: pods with numbers below it are left as they are
          strategy.type  (one of RollingUpdate, Recreate, OnDelete)  Which way
        ");
        insta::assert_snapshot!(printed("ports.http.protocol"), @r#"
        workloads.<name>.ports.<name>.protocol
          one of TCP, UDP, SCTP
          The protocol.
          default: "TCP"
        "#);
        insta::assert_snapshot!(printed("namespace"), @r#"
        namespace
          string
          The namespace of every object; with null the objects name none.
          default: null
          example: "shop"

        workloads.<name>.namespace
          string
          The namespace of the workload's objects; the environment's if left out.
          example: "tools"
        "#);
    }

    #[test]
    fn without_a_path_everything_is_listed() {
        let text = printed("");
        for line in [
            "  systems  (list of strings)",
            "  replicas  (integer, 0 or more)",
            "  podTemplate  (set)",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("ports.<name>"), "{text}");
    }
}
