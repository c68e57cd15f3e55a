//! Sets.

use std::cell::Cell;

use bumpalo::Bump;

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
/// `big // small` only lays the small one's attributes over the big one; the layers are merged when something goes
/// through all attributes, and then for good.
pub struct Attrs<'a> {
    entries: Cell<&'a [Attr<'a>]>,
    base: Cell<Option<&'a Attrs<'a>>>,
}

/// The most layers that a look-up may have to search.
const MOST_LAYERS: usize = 8;
/// A layer pays only where it saves copying this many attributes, and the second number for each one it has itself.
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
        let mut layer = self;
        loop {
            let entries = layer.entries.get();
            if let Some(attr) = entries.get(hint.get() as usize)
                && attr.name == name
            {
                return Some(attr);
            }
            if let Some(index) = position_of(entries, name) {
                hint.set(index as u32);
                return Some(&entries[index]);
            }
            layer = layer.base.get()?;
        }
    }

    /// All attributes, sorted by symbol.
    pub fn entries(&self, arena: &'a Bump) -> &'a [Attr<'a>] {
        if self.base.get().is_some() && !self.is_empty() {
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

    /// An empty set over another, which nothing but its identity tells from one without attributes: what C++ Nix leaves of
    /// a set of which nothing is left.
    fn nothing_left(arena: &'a Bump) -> &'a Attrs<'a> {
        let below = Self::from_sorted(arena, &[]);
        arena.alloc(Attrs {
            entries: Cell::new(&[]),
            base: Cell::new(Some(below)),
        })
    }

    /// C++ Nix has but one of these: every empty set, save those of which nothing is left.
    pub(crate) fn is_the_empty_set(&self) -> bool {
        self.entries.get().is_empty() && self.base.get().is_none()
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
        let entries = if self.base.get().is_none() {
            merged_in(arena, self.entries.get(), above)
        } else {
            let merged = merge(self.merged().into_iter(), above.iter());
            shared_in(arena, &merged)
        };
        Self::from_sorted(arena, entries)
    }

    /// The attributes whose names `names` has, too. Goes through the smaller set and looks up in the other one.
    pub(crate) fn intersect(&self, arena: &'a Bump, names: &Attrs<'a>) -> &'a Attrs<'a> {
        let (own, others) = (self.entries(arena), names.entries(arena));
        let mut common = bumpalo::collections::Vec::new_in(arena);
        if others.len() < own.len() / 8 {
            let found = others.iter().filter_map(|attr| self.get(attr.name));
            common.extend(found.map(Attr::shared));
        } else if own.len() < others.len() / 8 {
            let found = own.iter().filter(|attr| names.get(attr.name).is_some());
            common.extend(found.map(Attr::shared));
        } else {
            let mut rest = others;
            let found = own.iter().filter(|attr| has_next(&mut rest, attr.name));
            common.extend(found.map(Attr::shared));
        }
        if common.is_empty() && !own.is_empty() && !others.is_empty() {
            return Self::nothing_left(arena);
        }
        Self::from_sorted(arena, common.into_bump_slice())
    }

    /// All attributes but `names`, which it has, in the order of symbols and each once: always another set.
    pub(crate) fn without(&self, arena: &'a Bump, names: &[Symbol]) -> &'a Attrs<'a> {
        if names.is_empty() {
            return arena.alloc(Attrs {
                entries: Cell::new(self.entries.get()),
                base: Cell::new(self.base.get()),
            });
        }
        let entries = self.entries(arena);
        if entries.len() == names.len() {
            return Self::nothing_left(arena);
        }
        let (mut place, mut names) = (0, names.iter().peekable());
        let kept = arena.alloc_slice_fill_with(entries.len() - names.len(), |_| {
            while names
                .next_if(|&&name| name == entries[place].name)
                .is_some()
            {
                place += 1;
            }
            place += 1;
            entries[place - 1].shared()
        });
        Self::from_sorted(arena, kept)
    }

    /// Looks up names in the order of symbols.
    pub(crate) fn walk(&self) -> Walk<'a, '_> {
        let flat = self.base.get().is_none();
        Walk {
            attrs: self,
            rest: flat.then(|| self.entries.get()),
        }
    }
}

/// See [`Attrs::walk`].
pub(crate) struct Walk<'a, 's> {
    attrs: &'s Attrs<'a>,
    /// Attributes not passed yet, if there is but one layer.
    rest: Option<&'a [Attr<'a>]>,
}

impl<'a> Walk<'a, '_> {
    /// The attribute called `name`, which is greater than any name looked up before.
    #[inline]
    pub(crate) fn get(&mut self, name: Symbol) -> Option<&'a Attr<'a>> {
        let Some(rest) = &mut self.rest else {
            return self.attrs.get(name);
        };
        if rest.len() > LONG_WALK {
            return self.attrs.get(name);
        }
        while let Some((first, others)) = rest.split_first() {
            if first.name > name {
                return None;
            }
            *rest = others;
            if first.name == name {
                return Some(first);
            }
        }
        None
    }
}

/// Up to this many attributes are passed one after the other rather than searched.
const LONG_WALK: usize = 32;

/// Whether `name` is next in `rest`, once what comes before it is skipped.
#[inline]
fn has_next(rest: &mut &[Attr<'_>], name: Symbol) -> bool {
    while let Some((first, others)) = rest.split_first() {
        if first.name >= name {
            return first.name == name;
        }
        *rest = others;
    }
    false
}

/// Attributes for another set.
fn shared_in<'a>(arena: &'a Bump, attrs: &[&'a Attr<'a>]) -> &'a [Attr<'a>] {
    arena.alloc_slice_fill_with(attrs.len(), |index| attrs[index].shared())
}

/// As [`merge`], of two layers, straight into the arena.
fn merged_in<'a>(arena: &'a Bump, left: &'a [Attr<'a>], right: &'a [Attr<'a>]) -> &'a [Attr<'a>] {
    let mut rest = left;
    let in_both = right
        .iter()
        .filter(|attr| has_next(&mut rest, attr.name))
        .count();
    let (mut l, mut r) = (left, right);
    arena.alloc_slice_fill_with(left.len() + right.len() - in_both, |_| {
        let next = match (l.split_first(), r.split_first()) {
            (Some((left, others)), None) => {
                l = others;
                left
            }
            (Some((left, others)), Some((right, _))) if left.name < right.name => {
                l = others;
                left
            }
            (left, Some((right, others))) => {
                if let Some((left, others)) = left
                    && left.name == right.name
                {
                    l = others;
                }
                r = others;
                right
            }
            (None, None) => unreachable!("there are as many as were counted"),
        };
        next.shared()
    })
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
