//! What a build says while it goes on: lines as Nix prints them, and on a terminal a line of what is being done.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use niphas_terminal::in_colour;
use nix_builder::engine::{Event, Failure, FetchProgress, MessageStyle, Said};
use nix_builder::plan::Plan;
use nix_formats::{StoreDir, StorePath, printable, size};

use super::waiting::Waiting;
use crate::build_options::shell_hint;

/// What goes on.
pub(crate) struct Watch {
    bar: ProgressBar,
    /// Whether logs are printed while they are written.
    prints_logs: bool,
    /// Whether what will be done is printed.
    prints_plan: bool,
    /// Whether there is no shell for builders that need one.
    lacks_shell: bool,
    waiting: Waiting,
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
    /// How many builds wait for it, once that is shown.
    waiting: OnceCell<usize>,
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
            lacks_shell: false,
            waiting: Waiting::default(),
            building: BTreeMap::new(),
            built: 0,
            builds: 0,
            fetched: FetchProgress::default(),
            fetches: 0,
        }
    }

    /// Says what to do where a plan needs a shell, and there is none.
    pub(crate) fn without_shell(mut self, lacks_shell: bool) -> Self {
        self.lacks_shell = lacks_shell;
        self
    }

    /// Prints an event, or remembers what it changes.
    pub(crate) fn hear(&mut self, event: &Event) {
        match event {
            Event::Planned(plan) => {
                self.planned(plan);
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
                self.waiting.replace(derivation, resolved);
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

    fn planned(&mut self, plan: &Plan) {
        self.builds = self.built + plan.builds.len();
        self.fetches = plan.fetches.len() as u64;
        self.waiting = Waiting::of(plan);
        let lines = plan.lines(&StoreDir::default());
        // What comes later is a part of it.
        if std::mem::take(&mut self.prints_plan) && !lines.is_empty() {
            self.tell(lines.trim_end());
        }
        if self.lacks_shell && needs_shell(plan) {
            self.lacks_shell = false;
            self.tell(&format!("hint: {}", shell_hint()));
        }
    }

    fn started(&mut self, derivation: &StorePath, is_check: bool) {
        let shown = StoreDir::default().print(derivation);
        self.tell(&if is_check {
            format!("checking outputs of '{shown}'...")
        } else {
            format!("building '{shown}'...")
        });
        let building = Building {
            since: Instant::now(),
            phase: None,
            waiting: OnceCell::new(),
        };
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
        if !self.bar.is_hidden() {
            self.bar.set_message(self.line());
        }
    }

    fn line(&self) -> String {
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
        for (derivation, it) in self.building.iter().take(FEW) {
            let mut facts: Vec<String> = it.phase.iter().cloned().collect();
            facts.push(format!("{} s", it.since.elapsed().as_secs()));
            let waiting = it.waiting.get_or_init(|| self.waiting.count(derivation));
            if *waiting > 0 {
                facts.push(format!("{waiting} waiting for it"));
            }
            building.push(format!("{} ({})", name(derivation), facts.join(", ")));
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
        line
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

/// Whether something of a plan is built by `/bin/sh`.
pub(super) fn needs_shell(plan: &Plan) -> bool {
    let mut builders = plan.builds.iter().map(|build| &build.derivation.builder);
    builders.any(|builder| builder == b"/bin/sh")
}

/// Further lines of an error stand below its first word, as Nix has it.
fn indented(message: &str) -> String {
    message.replace('\n', "\n       ")
}

#[cfg(test)]
mod tests {
    use nix_builder::options::Options;
    use nix_builder::plan::Build;
    use nix_formats::Derivation;

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

    #[test]
    fn the_line_says_what_waits_for_what_is_built() {
        let path = |name: &str| {
            let hash = "0".repeat(32);
            StorePath::from_base_name(format!("{hash}-{name}.drv")).unwrap()
        };
        let build = |name: &str, needs: &[usize]| {
            let derivation = Derivation {
                builder: b"/bin/sh".to_vec(),
                ..Derivation::default()
            };
            Build {
                path: path(name),
                options: Options::of(&derivation, &StoreDir::default())
                    .unwrap()
                    .into(),
                derivation: derivation.into(),
                wanted: ["out".to_owned()].into(),
                needs: needs.to_vec(),
                height: 1,
                trace: None,
                refusal: None,
            }
        };
        // d needs b and c, which need a; e needs nothing.
        let builds = vec![
            build("a", &[]),
            build("b", &[0]),
            build("c", &[0]),
            build("d", &[1, 2]),
            build("e", &[]),
        ];
        let plan = Plan {
            builds,
            ..Plan::default()
        };
        assert!(needs_shell(&plan) && !needs_shell(&Plan::default()));
        let mut watch = Watch::start(false, false).without_shell(true);
        watch.hear(&Event::Planned(plan.into()));
        assert!(!watch.lacks_shell);
        let started = |name: &str| Event::Started {
            derivation: path(name),
            is_check: false,
        };
        watch.hear(&started("a"));
        watch.hear(&started("e"));
        assert_eq!(
            watch.line(),
            "0 of 5 built: a (0 s, 3 waiting for it), e (0 s)"
        );
        let built = |name: &str| Event::Built {
            derivation: path(name),
            duration: Duration::from_secs(1),
        };
        watch.hear(&built("a"));
        watch.hear(&Event::Resolved {
            derivation: path("b"),
            resolved: path("b-resolved"),
        });
        watch.hear(&started("b-resolved"));
        watch.hear(&Event::Said {
            derivation: path("b-resolved"),
            said: Said::Phase("install".to_owned()),
        });
        assert_eq!(
            watch.line(),
            "1 of 5 built: b-resolved (install, 0 s, 1 waiting for it), e (0 s)"
        );
    }
}
