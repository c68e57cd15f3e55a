//! Recomputing a content address from a NAR that streams by.

use std::io;

use crate::content_address::ContentAddressMethod;
use crate::hash::{Hash, HashAlgorithm, Hasher};
use crate::nar::{Event, Reader};
use crate::store_path::StorePath;

/// Computes the hash that a content address holds from the NAR of the contents.
#[derive(Debug, Clone)]
pub struct ContentHasher(Method);

#[derive(Debug, Clone)]
enum Method {
    Nar(Hasher),
    Modulo(Modulo),
    File(File),
}

/// The longest beginning of a NAR of one file, up to the file's contents.
const MAX_FILE_HEADER: usize = 128;

impl ContentHasher {
    /// `self_reference` is the path itself if the contents name it: then its
    /// hash part is hashed as zeros.
    ///
    /// `None` for [`ContentAddressMethod::Git`], whose trees of hashes can't be
    /// computed from a stream.
    pub fn new(
        method: ContentAddressMethod,
        algorithm: HashAlgorithm,
        self_reference: Option<&StorePath>,
    ) -> Option<Self> {
        let hasher = Hasher::new(algorithm);
        Some(Self(match (method, self_reference) {
            (ContentAddressMethod::Git, _) => return None,
            (ContentAddressMethod::Recursive, None) => Method::Nar(hasher),
            (ContentAddressMethod::Recursive, Some(path)) => Method::Modulo(Modulo {
                hasher,
                needle: path.hash_part().as_bytes().to_vec(),
                pending: Vec::new(),
                offset: 0,
                places: Vec::new(),
            }),
            (ContentAddressMethod::Flat | ContentAddressMethod::Text, _) => Method::File(File {
                hasher,
                header: Vec::new(),
                left: None,
            }),
        }))
    }

    /// Adds the next piece of the NAR.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            Method::Nar(hasher) => hasher.update(piece),
            Method::Modulo(modulo) => modulo.update(piece),
            Method::File(file) => file.update(piece),
        }
    }

    /// Whether the contents have this hash.
    ///
    /// Contents that name themselves have two: with the places of their own
    /// hash part hashed after them, and without, as Nix 2.17 to 2.34 had it by
    /// mistake. Both are taken, since both are found in caches.
    pub fn matches(self, expected: &Hash) -> bool {
        match self.0 {
            Method::Nar(hasher) => hasher.finish() == *expected,
            Method::Modulo(modulo) => modulo.finish().contains(expected),
            Method::File(file) => file.finish().is_some_and(|hash| hash == *expected),
        }
    }
}

impl io::Write for ContentHasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct Modulo {
    hasher: Hasher,
    needle: Vec<u8>,
    /// Bytes that may be the start of a match.
    pending: Vec<u8>,
    /// Where `pending` starts.
    offset: u64,
    places: Vec<u64>,
}

impl Modulo {
    fn update(&mut self, piece: &[u8]) {
        self.pending.extend_from_slice(piece);
        let mut start = 0;
        while let Some(index) = memchr::memmem::find(&self.pending[start..], &self.needle) {
            let index = start + index;
            self.places.push(self.offset + index as u64);
            self.pending[index..index + self.needle.len()].fill(0);
            start = index + self.needle.len();
        }
        let keep = self.needle.len() - 1;
        let done = self.pending.len().saturating_sub(keep).max(start);
        self.hasher.update(&self.pending[..done]);
        self.pending.drain(..done);
        self.offset += done as u64;
    }

    fn finish(mut self) -> [Hash; 2] {
        self.hasher.update(&self.pending);
        let without_places = self.hasher.clone().finish();
        for place in self.places {
            self.hasher.update(format!("|{place}").as_bytes());
        }
        [self.hasher.finish(), without_places]
    }
}

#[derive(Debug, Clone)]
struct File {
    hasher: Hasher,
    /// What came before the contents' start was known.
    header: Vec<u8>,
    /// Bytes of the contents that are still to come, once that is known.
    left: Option<u64>,
}

impl File {
    fn update(&mut self, piece: &[u8]) {
        if self.left.is_some() {
            return self.contents(piece);
        }
        let (head, rest) = piece.split_at(piece.len().min(MAX_FILE_HEADER - self.header.len()));
        self.header.extend_from_slice(head);
        if self.header.len() == MAX_FILE_HEADER {
            self.start();
            self.contents(rest);
        }
    }

    fn start(&mut self) {
        let header = std::mem::take(&mut self.header);
        if let Ok(Some(Event::File { size, offset, .. })) =
            Reader::new(header.as_slice()).next_event()
        {
            self.left = Some(size);
            self.contents(&header[offset as usize..]);
        } else {
            // Not a single file: no end is ever reached, so there is no hash.
            self.left = Some(u64::MAX);
        }
    }

    fn contents(&mut self, piece: &[u8]) {
        if let Some(left) = &mut self.left {
            let count = piece
                .len()
                .min(usize::try_from(*left).unwrap_or(usize::MAX));
            self.hasher.update(&piece[..count]);
            *left -= count as u64;
        }
    }

    fn finish(mut self) -> Option<Hash> {
        if self.left.is_none() {
            self.start();
        }
        (self.left == Some(0)).then(|| self.hasher.finish())
    }
}
