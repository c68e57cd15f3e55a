//! What a build says while it goes on: lines as Nix prints them, and on a terminal a line of what is being done.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use niphas_terminal::in_colour;
use nix_builder::engine::{Event, Failure, FetchProgress, MessageStyle, Said};
use nix_formats::{StoreDir, StorePath, printable, size};

/// What goes on.
pub(crate) struct Watch {
    bar: ProgressBar,
    /// Whether logs are printed while they are written.
    prints_logs: bool,
    /// Whether what will be done is printed.
    prints_plan: bool,
    building: BTreeMap<StorePath, Building>,
    built: usize,
    builds: usize,
    fetched: FetchProgress,
    fetches: u64,
}

/// A build that goes on.
struct Building {
    since: Instant,
    phase: Option<String>,
}

/// Builds that are named on the line.
const FEW: usize = 3;
const REDRAWN: Duration = Duration::from_millis(100);
/// Messages of builders up to this level of Nix are printed: information.
const INFORMATION: u64 = 3;

impl Watch {
    pub(crate) fn start(prints_logs: bool, prints_plan: bool) -> Self {
        let template = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]");
        let style = template.unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style);
        let is_shown = stderr().is_terminal() && tracing::enabled!(tracing::Level::WARN);
        bar.set_draw_target(if is_shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        bar.enable_steady_tick(REDRAWN);
        Self {
            bar,
            prints_logs,
            prints_plan,
            building: BTreeMap::new(),
            built: 0,
            builds: 0,
            fetched: FetchProgress::default(),
            fetches: 0,
        }
    }

    /// Prints an event, or remembers what it changes.
    pub(crate) fn hear(&mut self, event: &Event) {
        match event {
            Event::Planned(plan) => {
                self.builds = plan.builds.len();
                self.fetches = plan.fetches.len() as u64;
                let lines = plan.lines(&StoreDir::default());
                if self.prints_plan && !lines.is_empty() {
                    self.tell(lines.trim_end());
                }
            }
            Event::Fetched(progress) => self.fetched = *progress,
            Event::Started {
                derivation,
                is_check,
            } => self.started(derivation, *is_check),
            Event::Said { derivation, said } => self.said(derivation, said),
            Event::Built { derivation, .. } => {
                self.building.remove(derivation);
                self.built += 1;
            }
            Event::Resolved {
                derivation,
                resolved,
            } => {
                let store_dir = StoreDir::default();
                let (derivation, resolved) =
                    (store_dir.print(derivation), store_dir.print(resolved));
                self.tell(&format!(
                    "resolved derivation: '{derivation}' => '{resolved}'..."
                ));
            }
            Event::Failed(failure) => {
                self.building.remove(&failure.derivation);
                self.failed(failure);
            }
            Event::Kept { folder, .. } => {
                let folder = folder.display();
                self.tell(&format!("note: keeping build directory \"{folder}\""));
            }
            Event::Warning(text) => self.tell(&format!("warning: {text}")),
        }
        self.draw();
    }

    fn started(&mut self, derivation: &StorePath, is_check: bool) {
        let shown = StoreDir::default().print(derivation);
        self.tell(&if is_check {
            format!("checking outputs of '{shown}'...")
        } else {
            format!("building '{shown}'...")
        });
        let (since, phase) = (Instant::now(), None);
        let building = Building { since, phase };
        self.building.insert(derivation.clone(), building);
    }

    fn said(&mut self, derivation: &StorePath, said: &Said) {
        match said {
            Said::Line(line) if self.prints_logs => {
                let name = name(derivation);
                let prefix = if in_colour() {
                    format!("\x1b[34m{name}> \x1b[0m")
                } else {
                    format!("{name}> ")
                };
                self.print(&[prefix.as_bytes(), line].concat());
            }
            Said::Phase(phase) => {
                if let Some(building) = self.building.get_mut(derivation) {
                    building.phase = Some(shortened(phase));
                }
            }
            Said::Message { level, text } if *level <= INFORMATION => self.tell(text),
            Said::Line(_) | Said::Message { .. } => {}
            Said::BadMessage(text) => self.tell(text),
        }
    }

    fn failed(&self, failure: &Failure) {
        let message = failure.message(MessageStyle {
            store_dir: &StoreDir::default(),
            log_command: (!self.prints_logs).then_some("niphas log"),
        });
        let message = format!("error: {}", indented(&message));
        self.bar
            .suspend(|| niphas_terminal::report_text(message.as_bytes()));
    }

    /// Prints a line; with --quiet only what is an error.
    pub(crate) fn tell(&self, text: &str) {
        if tracing::enabled!(tracing::Level::WARN) {
            self.print(text.as_bytes());
        }
    }

    fn print(&self, text: &[u8]) {
        let text = printable(text, in_colour());
        self.bar.suspend(|| {
            // There is no other place to report that standard error is closed.
            let _ = stderr().write_all(&[&text[..], b"\n"].concat());
        });
    }

    /// The line of what is being done. To be called now and then, too: how long builds take is on it.
    pub(crate) fn draw(&self) {
        let mut done = Vec::new();
        if self.builds > 0 {
            done.push(format!("{} of {} built", self.built, self.builds));
        }
        if self.fetches > 0 || self.fetched.paths > 0 {
            let FetchProgress { paths, bytes } = self.fetched;
            let all = self.fetches.max(paths);
            done.push(format!("{paths} of {all} fetched ({})", size(bytes)));
        }
        let mut building = Vec::new();
        for (derivation, Building { since, phase }) in self.building.iter().take(FEW) {
            let (name, seconds) = (name(derivation), since.elapsed().as_secs());
            building.push(match phase {
                Some(phase) => format!("{name} ({phase}, {seconds} s)"),
                None => format!("{name} ({seconds} s)"),
            });
        }
        let mut line = done.join(", ");
        if !building.is_empty() {
            line += ": ";
            line += &building.join(", ");
        }
        if self.building.len() > FEW {
            line += " and ";
            line += &(self.building.len() - FEW).to_string();
            line += " more";
        }
        self.bar.set_message(line);
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The name of a phase, which is a builder's word, as it is shown.
fn shortened(phase: &str) -> String {
    const MOST: usize = 40;
    let text: String = phase.chars().take(MOST).collect();
    String::from_utf8_lossy(&printable(text.as_bytes(), false)).replace('\n', " ")
}

/// What a derivation is called in front of the lines of its log.
fn name(derivation: &StorePath) -> &str {
    let name = derivation.name();
    name.strip_suffix(".drv").unwrap_or(name)
}

/// Further lines of an error stand below its first word, as Nix has it.
fn indented(message: &str) -> String {
    message.replace('\n', "\n       ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_told_by_the_names_of_derivations() {
        let hash = "0".repeat(32);
        let path = StorePath::from_base_name(format!("{hash}-hello-2.12.1.drv")).unwrap();
        assert_eq!(name(&path), "hello-2.12.1");
        assert_eq!(
            indented("Cannot build 'x'.\nReason: y"),
            "Cannot build 'x'.\n       Reason: y"
        );
    }
}
