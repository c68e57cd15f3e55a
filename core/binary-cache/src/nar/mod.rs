//! Fetching NARs: decompressed, verified, never held as a whole.

mod fetch;
mod input;
mod sources;
mod verifier;

use std::io::{self, Read};
use std::sync::Arc;

use nix_formats::nar::Reader;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::caches::{Caches, Found};
use crate::download::Waiter;
use crate::error::NarError;
use fetch::{Failed, Fetch};
use sources::Sources;

/// NARs of up to this many bytes take less time than to wake a thread for them
/// and to be woken by it.
const SMALL: u64 = 64 << 10;

impl Caches {
    /// Fetches the NAR of a path and hands it, decompressed, to `consume`, which
    /// runs on a blocking thread, unless the NAR is small and there: no thread is
    /// woken for that. What `consume` gives is given back only if
    /// the NAR has the size and hash of the narinfo and, when it is not signed,
    /// the content address; so what `consume` makes of the bytes must not be
    /// used before this returns. What it leaves unread is read for it.
    ///
    /// A download that breaks off is resumed; if what comes then is not the rest,
    /// it is started over, once at each cache. When a cache can't give the NAR,
    /// or gives another one, the next that has one with the same hash is asked.
    /// For each of these `consume` is called again, and has to throw away what it
    /// made of the bytes before. When `consume` fails though the bytes were right,
    /// that is the end: [`NarError::Consumer`].
    ///
    /// When the future is dropped, `consume` gets an error from its next read,
    /// and a read that waits ends at once.
    pub async fn fetch_nar<T, F>(&self, found: &Found, consume: F) -> Result<T, NarError>
    where
        T: Send + 'static,
        F: FnMut(&mut dyn Read) -> io::Result<T> + Send + 'static,
    {
        let nothing = |_| std::future::ready(());
        let (value, _) = self.fetch_nar_with(found, nothing, consume).await?;
        Ok(value)
    }

    /// As [`Self::fetch_nar`], for consumers that need something that is scarce,
    /// such as memory: what `resource` gives is awaited once the first bytes are
    /// there, so that a cache that says nothing holds none of it. It is given how
    /// many bytes the decoder looks back on, and the decoder keeps to that.
    /// What it gives is
    /// dropped when nothing is read or consumed any more. Gives also which of
    /// the caches delivered the NAR: its place among those that [`Caches::new`]
    /// was given.
    pub async fn fetch_nar_with<T, F, R>(
        &self,
        found: &Found,
        resource: impl FnOnce(u64) -> R,
        mut consume: F,
    ) -> Result<(T, usize), NarError>
    where
        T: Send + 'static,
        F: FnMut(&mut dyn Read) -> io::Result<T> + Send + 'static,
        R: Future<Output: Send + 'static>,
    {
        let mut fetch = Fetch {
            members: Arc::clone(&self.members),
            found: found.clone(),
            sources: Sources::default(),
            looks_back: self.members.limits.max_looked_back,
            failures: Vec::new(),
        };
        // Small files come as a whole here, and no blocking thread waits for
        // the network.
        let mut first = fetch.next_input().await;
        let resource = match &first {
            Some(input) => {
                fetch.looks_back = input.looks_back;
                Some(resource(input.looks_back).await)
            }
            None => None,
        };
        let (guard, cancelled) = watch::channel(());
        let waiter = Waiter {
            runtime: Handle::current(),
            cancelled,
        };
        let is_small = found.info.nar_size <= SMALL;
        if let Some(input) = first.take_if(|input| is_small && input.is_here()) {
            let index = input.source.index;
            match fetch.attempt(input, &waiter, &mut consume) {
                Ok(value) => {
                    fetch.members.caches[index].nars.succeeded();
                    return Ok((value, index));
                }
                Err(Failed::Finally(error)) => return Err(*error),
                Err(Failed::Source(error) | Failed::Pieced(error)) => {
                    fetch.note(index, *error);
                    first = fetch.next_input().await;
                }
            }
        }
        let span = tracing::Span::current();
        let fetched = tokio::task::spawn_blocking(move || {
            let _resource = resource;
            span.in_scope(|| fetch.run(first, waiter, &mut consume))
        });
        let fetched = fetched.await;
        drop(guard);
        match fetched {
            Ok(result) => result.map_err(|error| *error),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(NarError::Consumer {
                    path: found.info.path.clone(),
                    source: error.into(),
                }),
            },
        }
    }
}

impl Caches {
    /// Fetches the NAR of a path, keeps nothing of it, and reads it as those do that use it: its names, their order, sizes, and
    /// that nothing follows it.
    pub async fn verify_nar(&self, found: &Found) -> Result<(), NarError> {
        let read = |nar: &mut dyn Read| {
            // What is hashed and then read again is to stay in the processor's first cache.
            let mut reader = Reader::of_size(nar, 8 << 10);
            loop {
                match reader.next_event() {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                }
            }
        };
        let verified = self.fetch_nar(found, read).await;
        verified.map_err(|error| match error {
            NarError::Consumer { path, source } => match source.downcast() {
                Ok(source) => NarError::Malformed { path, source },
                Err(source) => NarError::Consumer { path, source },
            },
            error => error,
        })
    }
}
