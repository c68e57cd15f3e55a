//! Fetching NARs: decompressed, verified, never held as a whole.

mod input;
mod verifier;

use crate::{
    caches::{Caches, Found, Members},
    decompress,
    download::{Download, Place, Waiter, cancelled},
    error::{FetchError, NarError},
    policy::Trust,
};
use futures::FutureExt;
use input::{Lent, Opened};
use nix_formats::{Compression, nar::Reader};
use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::Arc,
};
use tokio::{runtime::Handle, sync::watch};
use verifier::{Seen, Verifier};

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
    /// A download that breaks off is resumed; if what comes then is not the rest, it is started over, once at each cache. When a
    /// cache can't give the NAR,
    /// or gives another one, the next that has one with the same hash is asked,
    /// and `consume` is called again, and has to throw away what
    /// it made of the bytes before. When `consume` fails though the bytes were right, that is
    /// the end: [`NarError::Consumer`].
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

/// One NAR to fetch, and where it was looked for.
struct Fetch {
    members: Arc<Members>,
    found: Found,
    sources: Sources,
    /// How far a decoder may look back.
    looks_back: u64,
    failures: Vec<NarError>,
}

/// The caches to try.
#[derive(Default)]
struct Sources {
    /// Before all others.
    again: Option<Source>,
    first_tried: bool,
    /// Those after the first, once it is known that they are needed.
    others: Option<VecDeque<usize>>,
}

/// A file that holds the NAR.
#[derive(Clone)]
struct Source {
    index: usize,
    url: String,
    compression: Compression,
}

/// A file that was opened, and the source it is from.
struct Input {
    source: Source,
    file: Opened,
    /// How far its decoder looks back.
    looks_back: u64,
}

impl Input {
    /// Whether nothing has to be waited for.
    fn is_here(&self) -> bool {
        matches!(&self.file, Opened::Server(download) if download.has_ended())
    }
}

/// How an attempt failed.
enum Failed {
    /// Another cache may do better.
    Source(Box<NarError>),
    /// So may the same one: the bytes are of several answers, and do not fit together.
    Pieced(Box<NarError>),
    /// No cache would.
    Finally(Box<NarError>),
}

impl Failed {
    fn source(error: NarError) -> Self {
        Self::Source(Box::new(error))
    }

    fn finally(error: NarError) -> Self {
        Self::Finally(Box::new(error))
    }
}

impl Fetch {
    fn run<T>(
        mut self,
        first: Option<Input>,
        mut waiter: Waiter,
        consume: &mut dyn FnMut(&mut dyn Read) -> io::Result<T>,
    ) -> Result<(T, usize), Box<NarError>> {
        let mut next = first;
        // The source that is asked for the whole file again.
        let mut again = None;
        while let Some(input) = next {
            let (index, source) = (input.source.index, input.source.clone());
            match self.attempt(input, &waiter, consume) {
                Ok(value) => {
                    self.members.caches[index].nars.succeeded();
                    return Ok((value, index));
                }
                Err(Failed::Finally(error)) => return Err(error),
                // That it was cancelled is no failure of the cache.
                Err(_) if waiter.is_gone() => break,
                Err(Failed::Pieced(error)) if again != Some(index) => {
                    tracing::debug!(
                        cache = %self.members.caches[index].name,
                        error = nix_formats::chain(&*error),
                        "a NAR broke off and did not go on; starting it over"
                    );
                    again = Some(index);
                    self.sources.again = Some(source);
                }
                Err(Failed::Source(error) | Failed::Pieced(error)) => self.note(index, *error),
            }
            let runtime = waiter.runtime.clone();
            next = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = waiter.gone() => None,
                    next = self.next_input() => next,
                }
            });
        }
        let path = self.found.info.path.clone();
        match self.failures.len() {
            count if count == 0 || waiter.is_gone() => Err(Box::new(NarError::Consumer {
                path,
                source: cancelled(),
            })),
            1 => Err(Box::new(self.failures.remove(0))),
            _ => Err(Box::new(NarError::Everywhere {
                path,
                failures: self.failures,
            })),
        }
    }

    /// Counts a failure against a cache.
    fn note(&mut self, index: usize, error: NarError) {
        let cache = &self.members.caches[index];
        tracing::warn!(
            error = nix_formats::chain(&error),
            "a cache does not give a NAR"
        );
        let reason = match &error {
            NarError::Fetch { source, .. } => source.clone(),
            _ => FetchError::BadNar {
                path: self.found.info.path.clone(),
            },
        };
        if cache.nars.failed(&reason) {
            tracing::warn!(cache = %cache.name, "others are asked for NARs first for a while");
        }
        self.failures.push(error);
    }

    /// The next file that is there.
    async fn next_input(&mut self) -> Option<Input> {
        while let Some(source) = self.next_source().await {
            let index = source.index;
            match self.open(source).await {
                Ok(input) => return Some(input),
                Err(error) => self.note(index, error),
            }
        }
        None
    }

    /// The next place to look: the cache that the narinfo is from, unless it
    /// keeps failing; then the others, those first that don't.
    async fn next_source(&mut self) -> Option<Source> {
        if let Some(again) = self.sources.again.take() {
            return Some(again);
        }
        let members = Arc::clone(&self.members);
        let own = self.found.index;
        if !self.sources.first_tried {
            self.sources.first_tried = true;
            if members.caches.len() == 1 || members.is_well(own) {
                return Some(self.own_source());
            }
            let mut order = members.order().await;
            order.sort_by_key(|&index| !members.is_well(index));
            self.sources.others = Some(order.into());
        }
        if self.sources.others.is_none() {
            let mut order = members.order().await;
            order.retain(|&index| index != own);
            order.sort_by_key(|&index| !members.is_well(index));
            self.sources.others = Some(order.into());
        }
        while let Some(index) = self.sources.others.as_mut()?.pop_front() {
            if index == own {
                return Some(self.own_source());
            }
            if let Some((source, _)) = members.same_nar(index, &self.found).await {
                return Some(source);
            }
        }
        None
    }

    fn own_source(&self) -> Source {
        Source {
            index: self.found.index,
            url: self.found.info.url.clone(),
            compression: self.found.info.compression.clone(),
        }
    }

    async fn open(&self, source: Source) -> Result<Input, NarError> {
        let path = self.found.info.path.clone();
        if let Compression::Other(_) = source.compression {
            return Err(NarError::Compression {
                path,
                compression: source.compression,
            });
        }
        let cache = &self.members.caches[source.index];
        let missing = || NarError::Missing {
            path: path.clone(),
            cache: cache.name.clone(),
        };
        let failed = |error| self.fetch_error(source.index, error);
        if let Some(opened) = cache.transport.open_folder(&source.url) {
            let file = opened.map_err(failed)?.ok_or_else(missing)?;
            let input = self.input(source, Opened::Folder(file));
            return input.map_err(|error| *error);
        }
        let mut download = self.download(&source);
        match download.start().await {
            Ok(true) => {
                let input = self.input(source, Opened::Server(Box::new(download)));
                input.map_err(|error| *error)
            }
            Ok(false) => Err(missing()),
            Err(error) => Err(failed(error)),
        }
    }

    fn input(&self, source: Source, file: Opened) -> Result<Input, Box<NarError>> {
        let limit = self.looks_back;
        // Bytes that do not tell, such as too few, count as the most that there may be.
        let looks_back = decompress::looks_back(&source.compression, &file.head()).unwrap_or(limit);
        if looks_back > limit {
            return Err(Box::new(NarError::LooksBack {
                path: self.found.info.path.clone(),
                cache: self.members.caches[source.index].name.clone(),
                needed: looks_back,
                limit,
            }));
        }
        Ok(Input {
            source,
            file,
            looks_back,
        })
    }

    fn download(&self, source: &Source) -> Download {
        let place = Place {
            cache: Arc::clone(&self.members.caches[source.index]),
            url: source.url.clone(),
        };
        let (members, found) = (Arc::clone(&self.members), Arc::new(self.found.clone()));
        let (own, file_hash) = (source.index, self.found.info.file_hash);
        let compression = source.compression.clone();
        let mirror = move || {
            let (members, found) = (Arc::clone(&members), Arc::clone(&found));
            let compression = compression.clone();
            let find = async move {
                // Only what is the same byte for byte can go on in the middle.
                file_hash.filter(|_| own == found.index)?;
                for index in members.order().await {
                    if index == own || !members.is_well(index) {
                        continue;
                    }
                    let other = members.same_nar(index, &found).await;
                    if let Some((source, hash)) = other
                        && hash == file_hash
                        && source.compression == compression
                        && !members.caches[index].transport.is_folder()
                    {
                        return Some(Place {
                            cache: Arc::clone(&members.caches[index]),
                            url: source.url,
                        });
                    }
                }
                None
            };
            find.boxed()
        };
        let limits = Arc::clone(&self.members.limits);
        let is_only = self.members.caches.len() == 1;
        Download::new(place, Box::new(mirror), limits, self.most_bytes(), is_only)
    }

    /// No compression makes anything much larger; so what is has no end.
    fn most_bytes(&self) -> u64 {
        let size = self.found.info.nar_size;
        size.saturating_add(size / 4).saturating_add(1 << 20)
    }

    fn fetch_error(&self, index: usize, source: FetchError) -> NarError {
        NarError::Fetch {
            path: self.found.info.path.clone(),
            cache: self.members.caches[index].name.clone(),
            source,
        }
    }

    /// Reads and verifies one file from start to end.
    fn attempt<T>(
        &self,
        input: Input,
        waiter: &Waiter,
        consume: &mut dyn FnMut(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, Failed> {
        let mut file = Lent::new(input.file, waiter.clone(), self.most_bytes());
        let mut context = if self.found.info.nar_size <= SMALL {
            decompress::Context::lent()
        } else {
            decompress::Context::new()
        };
        // Decoders are made here: some read at once.
        let (seen, has_failed, result) = {
            let compression = &input.source.compression;
            let decoder =
                decompress::reader(compression, input.looks_back, &mut context, &mut file);
            let mut reader = Verifier::new(&self.found, decoder, waiter);
            let result = match consume(&mut reader) {
                Err(error) if is_about_disk(&error) => Err(error),
                // The rest tells whether the bytes were to blame.
                result => match reader.drain() {
                    Ok(()) => result,
                    Err(error) => result.and(Err(error)),
                },
            };
            (reader.seen, reader.has_failed, result)
        };
        let is_pieced = file.is_pieced();
        let failure = file.into_failure();
        match self.verify(input.source.index, seen, has_failed, failure, result) {
            Err(Failed::Source(error)) if is_pieced && is_of_bytes(&error) => {
                Err(Failed::Pieced(error))
            }
            verified => verified,
        }
    }

    /// What the bytes were, and whose fault it is.
    fn verify<T>(
        &self,
        index: usize,
        seen: Seen,
        has_failed: bool,
        failure: Option<FetchError>,
        result: io::Result<T>,
    ) -> Result<T, Failed> {
        let info = &self.found.info;
        let (path, cache) = (info.path.clone(), self.members.caches[index].name.clone());
        if let Some(error) = failure {
            return Err(Failed::source(self.fetch_error(index, error)));
        }
        let actual = seen.count;
        let wrong_size = actual > info.nar_size || (actual < info.nar_size && !has_failed);
        let result = match result {
            Err(source) if is_about_disk(&source) && !has_failed => {
                return Err(Failed::finally(NarError::Consumer { path, source }));
            }
            result => result,
        };
        if wrong_size {
            return Err(Failed::source(NarError::Size {
                path,
                cache,
                expected: info.nar_size,
                actual,
            }));
        }
        let result = match result {
            Err(source) if has_failed => {
                return Err(Failed::source(NarError::Read {
                    path,
                    cache,
                    source,
                }));
            }
            result => result,
        };
        let actual = seen.hasher.finish();
        if actual != info.nar_hash {
            return Err(Failed::source(NarError::Hash {
                path,
                cache,
                expected: info.nar_hash,
                actual,
            }));
        }
        if let (Trust::ContentAddressed, Some(ca)) = (&self.found.trust, info.ca) {
            let matches = seen
                .content
                .is_some_and(|content| content.matches(&ca.hash));
            if !matches {
                return Err(Failed::source(NarError::ContentAddress {
                    path,
                    cache,
                    expected: ca,
                }));
            }
        }
        result.map_err(|source| Failed::finally(NarError::Consumer { path, source }))
    }
}

impl Members {
    /// Whether NARs of a cache have come well so far.
    fn is_well(&self, index: usize) -> bool {
        self.caches[index].nars.check(&self.limits).is_ok()
    }

    /// The file and its hash, if a cache has the NAR that was found. What it
    /// says need not be signed: the hash that the bytes must have is.
    async fn same_nar(
        &self,
        index: usize,
        found: &Found,
    ) -> Option<(Source, Option<nix_formats::Hash>)> {
        let info = self.narinfo(index, &found.info.path).await.ok()?.info;
        let same = info.nar_hash == found.info.nar_hash && info.nar_size == found.info.nar_size;
        same.then_some((
            Source {
                index,
                url: info.url,
                compression: info.compression,
            },
            info.file_hash,
        ))
    }
}

/// Whether bytes came that are not those of the NAR, rather than none.
fn is_of_bytes(error: &NarError) -> bool {
    matches!(
        error,
        NarError::Fetch {
            source: FetchError::Range { .. } | FetchError::Changed { .. },
            ..
        } | NarError::Size { .. }
            | NarError::Hash { .. }
            | NarError::ContentAddress { .. }
            | NarError::Read { .. }
    )
}

/// Whether an error of the consumer is its own for sure: it can't come of the
/// bytes that it read.
fn is_about_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    let kind = error.kind();
    error.raw_os_error().is_some()
        || !matches!(kind, InvalidData | InvalidInput | Other | UnexpectedEof)
}
