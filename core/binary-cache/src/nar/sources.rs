//! Where the file of a NAR is: at the cache whose narinfo was found, then at the others.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt;
use nix_formats::Compression;

use super::fetch::Fetch;
use super::input::Opened;
use crate::caches::{Found, Members};
use crate::decompress;
use crate::download::{Download, Place};
use crate::error::{FetchError, NarError};

/// The caches to try.
#[derive(Default)]
pub(super) struct Sources {
    /// Before all others.
    pub(super) again: Option<Source>,
    first_tried: bool,
    /// Those after the first, once it is known that they are needed.
    others: Option<VecDeque<usize>>,
}

/// A file that holds the NAR.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) index: usize,
    pub(super) url: String,
    pub(super) compression: Compression,
}

/// A file that was opened, and the source it is from.
pub(super) struct Input {
    pub(super) source: Source,
    pub(super) file: Opened,
    /// How far its decoder looks back.
    pub(super) looks_back: u64,
}

impl Input {
    /// Whether nothing has to be waited for.
    pub(super) fn is_here(&self) -> bool {
        matches!(&self.file, Opened::Server(download) if download.has_ended())
    }
}

impl Fetch {
    /// The next file that is there.
    pub(super) async fn next_input(&mut self) -> Option<Input> {
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
    pub(super) fn most_bytes(&self) -> u64 {
        let size = self.found.info.nar_size;
        size.saturating_add(size / 4).saturating_add(1 << 20)
    }

    pub(super) fn fetch_error(&self, index: usize, source: FetchError) -> NarError {
        NarError::Fetch {
            path: self.found.info.path.clone(),
            cache: self.members.caches[index].name.clone(),
            source,
        }
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
