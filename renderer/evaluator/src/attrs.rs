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
const MOST_LAYERS: usize = 8;
/// A layer pays only where it saves copying so many attributes, and this many for each one it has itself.
const LEAST_SAVED: usize = 16;
const SAVED_FOR_EACH: usize = 4;

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
        if self.base.get().is_some() {
            let merged = self.merged();
            self.entries.set(shared_in(arena, &merged));
            self.base.set(None);
        }
        self.entries.get()
    }

    /// All layers' attributes together.
    fn merged(&self) -> Vec<&'a Attr<'a>> {
        let mut merged: Vec<_> = self.entries.get().iter().collect();
        let mut layer = self.base.get();
        while let Some(below) = layer {
            merged = merge(below.entries.get().iter(), merged.into_iter());
            layer = below.base.get();
        }
        merged
    }

    /// No attribute at all.
    pub fn is_empty(&self) -> bool {
        self.entries.get().is_empty() && self.base.get().is_none_or(Attrs::is_empty)
    }

    /// How many layers there are, and how many attributes they have, counting those twice that are in two.
    fn extent(&self) -> (usize, usize) {
        let (mut layers, mut attrs, mut layer) = (1, self.entries.get().len(), self);
        while let Some(base) = layer.base.get() {
            layers += 1;
            attrs += base.entries.get().len();
            layer = base;
        }
        (layers, attrs)
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
        let (layers, saved) = self.extent();
        if layers < MOST_LAYERS && saved >= LEAST_SAVED && saved >= SAVED_FOR_EACH * above.len() {
            return arena.alloc(Attrs {
                entries: Cell::new(above),
                base: Cell::new(Some(self)),
            });
        }
        let merged = match self.base.get() {
            None => merge(self.entries.get().iter(), above.iter()),
            Some(_) => merge(self.merged().into_iter(), above.iter()),
        };
        Self::from_sorted(arena, shared_in(arena, &merged))
    }
}

/// Attributes for another set.
fn shared_in<'a>(arena: &'a Bump, attrs: &[&'a Attr<'a>]) -> &'a [Attr<'a>] {
    arena.alloc_slice_fill_with(attrs.len(), |index| attrs[index].shared())
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
fn merge<'a>(
    left: impl ExactSizeIterator<Item = &'a Attr<'a>>,
    right: impl ExactSizeIterator<Item = &'a Attr<'a>>,
) -> Vec<&'a Attr<'a>> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.peekable(), right.peekable());
    while let (Some(l), Some(r)) = (left.peek(), right.peek()) {
        if l.name < r.name {
            merged.extend(left.next());
            continue;
        }
        if l.name == r.name {
            left.next();
        }
        merged.extend(right.next());
    }
    merged.extend(left);
    merged.extend(right);
    merged
}
