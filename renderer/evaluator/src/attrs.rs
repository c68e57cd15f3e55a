//! Sets.

use bumpalo::Bump;
use std::cell::Cell;

use crate::position::PosIdx;
use crate::symbol::Symbol;
use crate::value::{Slot, Value};

/// One attribute.
pub struct Attr<'a> {
    /// Its name.
    pub name: Symbol,
    /// Where it was defined.
    pub position: PosIdx,
    /// Its value.
    pub value: Slot<'a>,
}

impl<'a> Attr<'a> {
    /// An attribute.
    pub fn new(name: Symbol, position: PosIdx, value: Value<'a>) -> Self {
        Self {
            name,
            position,
            value: Slot::new(value),
        }
    }

    /// The same attribute for another set: both share the cell while the value is not there.
    pub(crate) fn shared(&'a self) -> Self {
        Self::new(self.name, self.position, self.value.share())
    }
}

/// A set: attributes sorted by symbol, over the set that a `//` left below.
///
/// `big // small` only lays the small one's attributes over the big one; the layers are merged when somebody goes
/// through all attributes, and then for good.
pub struct Attrs<'a> {
    entries: Cell<&'a [Attr<'a>]>,
    base: Cell<Option<&'a Attrs<'a>>>,
}

/// So many layers a look-up may have to search.
const MOST_LAYERS: usize = 6;
/// A layer pays only where it saves copying so many attributes.
const LEAST_SAVED: usize = 16;

impl<'a> Attrs<'a> {
    /// A set of attributes that are sorted by symbol, each name once.
    pub fn from_sorted(arena: &'a Bump, entries: &'a [Attr<'a>]) -> &'a Attrs<'a> {
        debug_assert!(entries.is_sorted_by(|l, r| l.name < r.name));
        arena.alloc(Attrs {
            entries: Cell::new(entries),
            base: Cell::new(None),
        })
    }

    /// A set of attributes in any order; of two with one name, the later stays.
    pub fn from_unsorted(arena: &'a Bump, mut entries: Vec<Attr<'a>>) -> &'a Attrs<'a> {
        entries.sort_by_key(|attr| attr.name);
        entries.reverse();
        entries.dedup_by_key(|attr| attr.name);
        entries.reverse();
        Self::from_sorted(arena, arena.alloc_slice_fill_iter(entries))
    }

    /// The attribute called `name`.
    #[inline]
    pub fn get(&self, name: Symbol) -> Option<&'a Attr<'a>> {
        let mut layer = self;
        loop {
            let entries = layer.entries.get();
            if let Some(index) = position_of(entries, name) {
                return Some(&entries[index]);
            }
            layer = layer.base.get()?;
        }
    }

    /// [`Attrs::get`] that looks first where it was found the last time at this place in the program.
    #[inline]
    pub(crate) fn get_hinted(&self, name: Symbol, hint: &Cell<u32>) -> Option<&'a Attr<'a>> {
        let entries = self.entries.get();
        if let Some(attr) = entries.get(hint.get() as usize)
            && attr.name == name
        {
            return Some(attr);
        }
        if let Some(index) = position_of(entries, name) {
            hint.set(index as u32);
            return Some(&entries[index]);
        }
        self.base.get()?.get(name)
    }

    /// All attributes, sorted by symbol.
    pub fn entries(&self, arena: &'a Bump) -> &'a [Attr<'a>] {
        if let Some(base) = self.base.get() {
            let merged = merge(arena, base.entries(arena), self.entries.get());
            self.entries.set(merged);
            self.base.set(None);
        }
        self.entries.get()
    }

    /// No attribute at all.
    pub fn is_empty(&self) -> bool {
        self.entries.get().is_empty() && self.base.get().is_none_or(Attrs::is_empty)
    }

    fn layers(&self) -> usize {
        let (mut count, mut layer) = (1, self);
        while let Some(base) = layer.base.get() {
            count += 1;
            layer = base;
        }
        count
    }

    /// `self // right`
    pub fn update(&'a self, arena: &'a Bump, right: &'a Attrs<'a>) -> &'a Attrs<'a> {
        if right.is_empty() {
            return self;
        }
        if self.is_empty() {
            return right;
        }
        let above = right.entries(arena);
        let below = self.entries.get().len();
        if below >= LEAST_SAVED && above.len() * 4 <= below && self.layers() < MOST_LAYERS {
            return arena.alloc(Attrs {
                entries: Cell::new(above),
                base: Cell::new(Some(self)),
            });
        }
        Self::from_sorted(arena, merge(arena, self.entries(arena), above))
    }
}

#[inline]
fn position_of(entries: &[Attr<'_>], name: Symbol) -> Option<usize> {
    if entries.len() <= 8 {
        entries.iter().position(|attr| attr.name == name)
    } else {
        entries.binary_search_by_key(&name, |attr| attr.name).ok()
    }
}

/// Both sides' attributes, the right one's where both have a name.
fn merge<'a>(arena: &'a Bump, left: &'a [Attr<'a>], right: &'a [Attr<'a>]) -> &'a [Attr<'a>] {
    let mut merged = bumpalo::collections::Vec::with_capacity_in(left.len() + right.len(), arena);
    let (mut l, mut r) = (left.iter().peekable(), right.iter().peekable());
    loop {
        match (l.peek(), r.peek()) {
            (Some(a), Some(b)) => {
                if a.name < b.name {
                    merged.push(a.shared());
                    l.next();
                } else {
                    if a.name == b.name {
                        l.next();
                    }
                    merged.push(b.shared());
                    r.next();
                }
            }
            (Some(a), None) => {
                merged.push(a.shared());
                l.next();
            }
            (None, Some(b)) => {
                merged.push(b.shared());
                r.next();
            }
            (None, None) => return merged.into_bump_slice(),
        }
    }
}
