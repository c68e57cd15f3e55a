//! The attempts at one NAR.

use std::io::{self, Read};
use std::sync::Arc;

use super::SMALL;
use super::input::Lent;
use super::sources::{Input, Sources};
use super::verifier::{Seen, Verifier};
use crate::caches::{Found, Members};
use crate::decompress;
use crate::download::{Waiter, cancelled};
use crate::error::{FetchError, NarError};
use crate::policy::Trust;

/// One NAR to fetch, and where it was looked for.
pub(super) struct Fetch {
    pub(super) members: Arc<Members>,
    pub(super) found: Found,
    pub(super) sources: Sources,
    /// How far a decoder may look back.
    pub(super) looks_back: u64,
    pub(super) failures: Vec<NarError>,
}

/// How an attempt failed.
pub(super) enum Failed {
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
    pub(super) fn run<T>(
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
    pub(super) fn note(&mut self, index: usize, error: NarError) {
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

    /// Reads and verifies one file from start to end.
    pub(super) fn attempt<T>(
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
                expected: info.nar_hash.into(),
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
