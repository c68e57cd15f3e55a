//! What a long run says while it goes on.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use niphas_environments::Step;

/// How long each phase of a run takes, for `NIPHAS_LOG=debug`.
pub(crate) struct Phases(Instant);

impl Phases {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn end(&mut self, name: &str) {
        let milliseconds = self.0.elapsed().as_secs_f64() * 1000.0;
        tracing::debug!("phase {name}: {milliseconds:.2} ms");
        self.0 = Instant::now();
    }
}

/// What is being done, on a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {msg} [{elapsed}]")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        // Hides itself where standard error is no terminal.
        let target = if tracing::enabled!(tracing::Level::WARN) {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        bar.set_draw_target(target);
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        Self { bar }
    }

    pub(crate) fn say(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    pub(crate) fn step(&self, step: Step<'_>) {
        self.say(&match step {
            Step::Environment { name } => format!("evaluating environment {name}"),
            Step::Workload { environment, name } => {
                format!("evaluating workload {name} of {environment}")
            }
            Step::Closure { id, done, total } => format!(
                "resolved closure {done} of {total}: {} on {}",
                id.workload, id.system
            ),
        });
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
