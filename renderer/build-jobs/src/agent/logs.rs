//! The logs of builds: written to files, from where they are sent as they grow.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use niphas_cache_service::client::{Client, ClientError};
use niphas_cache_service::protocol::BuildName;
use nix_builder::engine::Said;
use nix_formats::StorePath;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::log_file;

/// The logs of all builds of a pod.
pub(super) struct Logs {
    files: Mutex<BTreeMap<StorePath, File>>,
    sending: JoinSet<Result<(), ClientError>>,
    done: CancellationToken,
}

impl Logs {
    pub(super) fn start<'a>(
        client: &Client,
        work: &Path,
        derivations: impl Iterator<Item = &'a StorePath>,
    ) -> io::Result<Self> {
        let (mut files, mut sending) = (BTreeMap::new(), JoinSet::new());
        let done = CancellationToken::new();
        for derivation in derivations {
            let path = log_file(work, derivation);
            std::fs::create_dir_all(path.parent().unwrap_or(work))?;
            files.insert(derivation.clone(), File::create(&path)?);
            let (client, done) = (client.clone(), done.clone());
            let name = BuildName::of(derivation);
            sending.spawn(async move { client.follow_log(&name, &path, done).await });
        }
        Ok(Self {
            files: Mutex::new(files),
            sending,
            done,
        })
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<StorePath, File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A builder said something.
    pub(super) fn said(&self, derivation: &StorePath, said: &Said) {
        match said {
            Said::Line(line) => self.write(derivation, line),
            Said::Message { text, .. } => self.write(derivation, text.as_bytes()),
            Said::Phase(phase) => {
                self.write(derivation, format!("Running phase: {phase}").as_bytes());
            }
            // It comes as a line, too.
            Said::BadMessage(_) => {}
        }
    }

    /// The agent says something of a build.
    pub(super) fn say(&self, derivation: &StorePath, text: &str) {
        self.write(derivation, format!("niphas: {text}").as_bytes());
    }

    /// The agent says something of all builds.
    pub(super) fn say_all(&self, text: &str) {
        let all: Vec<StorePath> = self.files().keys().cloned().collect();
        for derivation in all {
            self.say(&derivation, text);
        }
    }

    fn write(&self, derivation: &StorePath, line: &[u8]) {
        if let Some(file) = self.files().get_mut(derivation) {
            let written = file.write_all(line).and_then(|()| file.write_all(b"\n"));
            if let Err(error) = written {
                warn!(%derivation, %error, "failed to write the log");
            }
        }
    }

    /// Waits until all of it has been sent.
    pub(super) async fn finish(mut self) -> Result<(), ClientError> {
        self.done.cancel();
        while let Some(sent) = self.sending.join_next().await {
            if let Ok(Err(error)) = sent {
                return Err(error);
            }
        }
        Ok(())
    }
}
