//! How far a push is.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use binary_cache::PushProgress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bytes and paths so far, on a terminal.
pub(crate) struct PushBar(ProgressBar);

impl PushBar {
    pub(crate) fn start(progress: &Arc<PushProgress>) -> Self {
        let template = "{bar:30} {bytes} of {total_bytes}, {msg} [{elapsed}]";
        let style = ProgressStyle::with_template(template);
        let bar =
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        if !std::io::stderr().is_terminal() || !tracing::enabled!(tracing::Level::WARN) {
            bar.set_draw_target(ProgressDrawTarget::hidden());
            return Self(bar);
        }
        let (shown, progress) = (bar.downgrade(), Arc::clone(progress));
        std::thread::spawn(move || {
            while let Some(bar) = shown.upgrade().filter(|bar| !bar.is_finished()) {
                bar.set_length(progress.bytes());
                bar.set_position(progress.bytes_done());
                let (done, all) = (progress.paths_done(), progress.paths());
                bar.set_message(format!("{done} of {all} paths"));
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self(bar)
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for PushBar {
    fn drop(&mut self) {
        self.clear();
    }
}
