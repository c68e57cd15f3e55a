//! Fetching NARs: decompressed, verified, never held as a whole.

use crate::{
    caches::{Caches, Found, Trust},
    decompress,
    error::{FetchError, NarError},
};
use bytes::Bytes;
use nix_formats::{
    Compression, ContentHasher,
    hash::{HashAlgorithm, Hasher},
};
use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc;

/// Pieces between the network and whoever consumes.
const CHANNEL: usize = 16;

impl Caches {
    /// Fetches the NAR of a path and hands it, decompressed, to `consume`, which
    /// runs on a blocking thread. What `consume` gives is given back only if
    /// the NAR has the size and hash of the narinfo and, when nobody signed it,
    /// the content address; so what `consume` makes of the bytes must not be
    /// used before this returns. What it leaves unread is read for it.
    pub async fn fetch_nar<T, F>(&self, found: &Found, consume: F) -> Result<T, NarError>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Read) -> io::Result<T> + Send + 'static,
    {
        let info = &found.info;
        let cache = || found.cache.clone();
        let transport = &self.members[found.index].transport;
        let fetch_error = |source| NarError::Fetch {
            path: info.path.clone(),
            cache: cache(),
            source,
        };
        if let Compression::Other(_) = info.compression {
            return Err(NarError::Compression {
                path: info.path.clone(),
                compression: info.compression.clone(),
            });
        }
        let mut body = transport
            .open(&info.url, &self.limits)
            .await
            .map_err(fetch_error)?
            .ok_or_else(|| NarError::Missing {
                path: info.path.clone(),
                cache: cache(),
            })?;

        let (sender, receiver) = mpsc::channel(CHANNEL);
        let failure = Arc::new(Mutex::new(None));
        let pieces = Pieces {
            receiver,
            current: Bytes::new(),
            failure: Arc::clone(&failure),
        };
        let compression = info.compression.clone();
        let mut reader = Verifier::new(found);
        // Decoders are made there too: some read at once.
        let consumer = tokio::task::spawn_blocking(move || {
            reader.input = decompress::reader(&compression, pieces);
            let result = consume(&mut reader);
            let result = result.and_then(|value| {
                io::copy(&mut reader, &mut io::sink())?;
                Ok(value)
            });
            // The reader ends here, and with it the channel.
            (result, reader.seen)
        });
        loop {
            let piece = body.next().await.transpose();
            let Some(piece) = piece else { break };
            let failed = piece.is_err();
            // The consumer may have ended with an error of its own.
            if sender.send(piece).await.is_err() || failed {
                break;
            }
        }
        drop(sender);
        let (result, seen) = match consumer.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => (Err(error.into()), Seen::default()),
            },
        };
        if let Some(error) = failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            return Err(fetch_error(error));
        }
        let size = |actual| NarError::Size {
            path: info.path.clone(),
            cache: cache(),
            expected: info.nar_size,
            actual,
        };
        if seen.count > info.nar_size {
            return Err(size(seen.count));
        }
        let value = result.map_err(|source| NarError::Read {
            path: info.path.clone(),
            cache: cache(),
            source,
        })?;
        if seen.count < info.nar_size {
            return Err(size(seen.count));
        }
        let actual = seen.hasher.finish();
        if actual != info.nar_hash {
            return Err(NarError::Hash {
                path: info.path.clone(),
                cache: cache(),
                expected: info.nar_hash,
                actual,
            });
        }
        if let (Trust::ContentAddressed, Some(ca)) = (&found.trust, info.ca) {
            let matches = seen
                .content
                .is_some_and(|content| content.matches(&ca.hash));
            if !matches {
                return Err(NarError::ContentAddress {
                    path: info.path.clone(),
                    cache: cache(),
                    expected: ca,
                });
            }
        }
        Ok(value)
    }
}

/// What comes from the network, as a reader on a blocking thread.
struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, FetchError>>,
    current: Bytes,
    failure: Arc<Mutex<Option<FetchError>>>,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(piece)) => self.current = piece,
                Some(Err(error)) => {
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return Err(io::Error::other("the download failed"));
                }
                None => return Ok(0),
            }
        }
        let count = out.len().min(self.current.len());
        out[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// Hands on what it reads, up to a limit, and keeps account of it.
struct Verifier {
    input: Box<dyn Read + Send>,
    limit: u64,
    seen: Seen,
}

/// What went through a [`Verifier`].
struct Seen {
    count: u64,
    hasher: Hasher,
    /// For paths that nobody signed.
    content: Option<ContentHasher>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            count: 0,
            hasher: Hasher::new(HashAlgorithm::Sha256),
            content: None,
        }
    }
}

impl Verifier {
    fn new(found: &Found) -> Self {
        let info = &found.info;
        let content = match (&found.trust, info.ca) {
            (Trust::ContentAddressed, Some(ca)) => {
                let itself = info.references.contains(&info.path).then_some(&info.path);
                ContentHasher::new(ca.method, ca.hash.algorithm(), itself)
            }
            _ => None,
        };
        Self {
            input: Box::new(io::empty()),
            limit: info.nar_size,
            seen: Seen {
                content,
                ..Seen::default()
            },
        }
    }
}

impl Read for Verifier {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(out)?;
        self.seen.count += count as u64;
        if self.seen.count > self.limit {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the NAR is larger than its narinfo says",
            ));
        }
        self.seen.hasher.update(&out[..count]);
        if let Some(content) = &mut self.seen.content {
            content.update(&out[..count]);
        }
        Ok(count)
    }
}
