//! What is known of a NAR once it went by.

use std::io::{self, Read};

use nix_formats::ContentHasher;
use nix_formats::hash::{HashAlgorithm, Hasher};

use crate::caches::Found;
use crate::download::{Waiter, cancelled};
use crate::policy::Trust;

/// Hands on what it reads, up to a limit, and keeps account of it.
pub(super) struct Verifier<'a> {
    input: Box<dyn Read + Send + 'a>,
    waiter: &'a Waiter,
    limit: u64,
    pub(super) seen: Seen,
    /// Whether reading failed, be it for the network or for what came.
    pub(super) has_failed: bool,
}

/// What went through a [`Verifier`].
pub(super) struct Seen {
    pub(super) count: u64,
    pub(super) hasher: Hasher,
    /// For paths without a signature.
    pub(super) content: Option<ContentHasher>,
}

impl<'a> Verifier<'a> {
    pub(super) fn new(found: &Found, input: Box<dyn Read + Send + 'a>, waiter: &'a Waiter) -> Self {
        let info = &found.info;
        let content = match (&found.trust, info.ca) {
            (Trust::ContentAddressed, Some(ca)) => {
                let itself = info.references.contains(&info.path).then_some(&info.path);
                ContentHasher::new(ca.method, ca.hash.algorithm(), itself)
            }
            _ => None,
        };
        Self {
            input,
            waiter,
            limit: info.nar_size,
            seen: Seen {
                count: 0,
                hasher: Hasher::new(HashAlgorithm::Sha256),
                content,
            },
            has_failed: false,
        }
    }

    /// Reads what is left.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        if self.has_failed {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // As a rule nothing is left.
        let mut piece = [0; 4096];
        loop {
            match self.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for Verifier<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // A decoder may give much without reading.
        if self.waiter.is_gone() {
            self.has_failed = true;
            return Err(cancelled());
        }
        let count = match self.input.read(out) {
            Ok(count) => count,
            Err(error) => {
                self.has_failed |= error.kind() != io::ErrorKind::Interrupted;
                return Err(error);
            }
        };
        self.seen.count += count as u64;
        if self.seen.count > self.limit {
            self.has_failed = true;
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
