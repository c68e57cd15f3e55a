//! Interned names.

use std::cmp::Ordering;
use std::hash::Hasher;

use bumpalo::Bump;
use hashbrown::HashTable;
use rustc_hash::FxHasher;

use crate::value::NixString;

/// An interned name: equal names have equal numbers. Numbers say nothing about alphabetical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(pub(crate) u32);

struct Entry<'a> {
    /// See [`Symbols::prefix`].
    prefix: u128,
    string: &'a NixString<'a>,
    hash: u64,
}

/// The table of all names of one evaluation.
pub struct Symbols<'a> {
    arena: &'a Bump,
    entries: Vec<Entry<'a>>,
    index: HashTable<u32>,
}

impl<'a> Symbols<'a> {
    /// An empty table whose names live in `arena`.
    pub fn new(arena: &'a Bump) -> Self {
        Self {
            arena,
            entries: Vec::with_capacity(1024),
            index: HashTable::with_capacity(1024),
        }
    }

    /// The symbol for `name`, new or known.
    pub fn intern(&mut self, name: &[u8]) -> Symbol {
        let hash = hash_of(name);
        if let Some(&found) = self.find(hash, name) {
            return Symbol(found);
        }
        let bytes: &'a [u8] = self.arena.alloc_slice_copy(name);
        let string: &'a NixString<'a> = self.arena.alloc(NixString::plain(bytes));
        self.insert(hash, string)
    }

    /// The symbol for `name` if there is one already: no set can have an attribute of a name that was never interned.
    pub fn lookup(&self, name: &[u8]) -> Option<Symbol> {
        self.find(hash_of(name), name).map(|&index| Symbol(index))
    }

    fn find(&self, hash: u64, name: &[u8]) -> Option<&u32> {
        self.index.find(hash, |&index| {
            let known = self.entries[index as usize].string.bytes;
            // Many names on the way through a program are the table's own strings.
            std::ptr::eq(known, name) || known == name
        })
    }

    fn insert(&mut self, hash: u64, string: &'a NixString<'a>) -> Symbol {
        let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 names");
        self.entries.push(Entry {
            prefix: prefix_of(string.bytes),
            string,
            hash,
        });
        let entries = &self.entries;
        self.index
            .insert_unique(hash, index, |&i| entries[i as usize].hash);
        Symbol(index)
    }

    /// The bytes of a name.
    pub fn bytes(&self, symbol: Symbol) -> &'a [u8] {
        self.entries[symbol.0 as usize].string.bytes
    }

    /// The name as a string value, made once.
    pub fn string(&self, symbol: Symbol) -> &'a NixString<'a> {
        self.entries[symbol.0 as usize].string
    }

    /// The name for messages.
    pub fn text(&self, symbol: Symbol) -> String {
        String::from_utf8_lossy(self.bytes(symbol)).into_owned()
    }

    /// The first sixteen bytes, big-endian: orders most names without touching them.
    #[inline]
    pub(crate) fn prefix(&self, symbol: Symbol) -> u128 {
        self.entries[symbol.0 as usize].prefix
    }

    /// Alphabetical order (by bytes), which is the order in which Nix shows attributes.
    pub fn compare(&self, left: Symbol, right: Symbol) -> Ordering {
        let (l, r) = (
            &self.entries[left.0 as usize],
            &self.entries[right.0 as usize],
        );
        l.prefix
            .cmp(&r.prefix)
            .then_with(|| l.string.bytes.cmp(r.string.bytes))
    }
}

fn prefix_of(bytes: &[u8]) -> u128 {
    let mut prefix = [0; 16];
    let len = bytes.len().min(16);
    prefix[..len].copy_from_slice(&bytes[..len]);
    u128::from_be_bytes(prefix)
}

fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    hasher.finish()
}
