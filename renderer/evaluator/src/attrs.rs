//! Sets.

use std::cell::Cell;

use bumpalo::Bump;

pub use crate::entries::{Attr, AttrRef, Entries, EntriesIter};
use crate::shape::{Shape, Shapes};
use crate::symbol::Symbol;
use crate::value::Slot;

/// A set: attributes sorted by symbol, over the set that a `//` left below.
///
/// `big // small` only lays the small one's attributes over the big one; the layers are merged when something goes
/// through all attributes, and then for good.
pub struct Attrs<'a>(Cell<Body<'a>>);

#[derive(Clone, Copy)]
enum Body<'a> {
    Flat(Entries<'a>),
    Layered(&'a Layered<'a>),
}

struct Layered<'a> {
    above: Entries<'a>,
    below: &'a Attrs<'a>,
}

impl<'a> Body<'a> {
    /// The uppermost attributes, and the set below them.
    #[inline]
    fn parts(self) -> (Entries<'a>, Option<&'a Attrs<'a>>) {
        match self {
            Self::Flat(entries) => (entries, None),
            Self::Layered(layered) => (layered.above, Some(layered.below)),
        }
    }
}

// A set is three words and two for each attribute; its shape is shared.
const _: () = assert!(size_of::<Attrs<'_>>() == 3 * size_of::<usize>());

/// The most layers that a look-up may have to search.
const MOST_LAYERS: usize = 8;
/// A layer pays only where it saves copying this many attributes, and the second number for each one it has itself.
const LEAST_SAVED: usize = 16;
const SAVED_FOR_EACH: usize = 4;
/// It pays whatever its own size is where this many would be copied.
const MANY: usize = 64;

impl<'a> Attrs<'a> {
    /// A set.
    #[inline]
    pub(crate) fn from_entries(arena: &'a Bump, entries: Entries<'a>) -> &'a Attrs<'a> {
        debug_assert!(entries.names().is_sorted_by(|l, r| l < r));
        arena.alloc(Attrs(Cell::new(Body::Flat(entries))))
    }

    /// A set of nothing.
    pub fn empty(arena: &'a Bump) -> &'a Attrs<'a> {
        Self::from_entries(arena, Entries::NONE)
    }

    /// A set of attributes that are sorted by symbol, each name once.
    pub(crate) fn from_sorted(arena: &'a Bump, attrs: Vec<Attr<'a>>) -> &'a Attrs<'a> {
        let shape = Shape::of(
            arena,
            attrs.len(),
            attrs.iter().map(|attr| (attr.name, attr.position)),
        );
        let values = attrs.into_iter().map(|attr| attr.value);
        let values = arena.alloc_slice_fill_iter(values);
        Self::from_entries(arena, Entries::new(shape, values))
    }

    /// A set of attributes in any order; of two with one name, the later stays.
    pub fn from_unsorted(arena: &'a Bump, mut attrs: Vec<Attr<'a>>) -> &'a Attrs<'a> {
        attrs.sort_by_key(|attr| attr.name);
        attrs.reverse();
        attrs.dedup_by_key(|attr| attr.name);
        attrs.reverse();
        Self::from_sorted(arena, attrs)
    }

    #[inline]
    fn parts(&self) -> (Entries<'a>, Option<&'a Attrs<'a>>) {
        self.0.get().parts()
    }

    /// The attribute called `name`.
    #[inline]
    pub fn get(&self, name: Symbol) -> Option<AttrRef<'a>> {
        let mut layer = self;
        loop {
            let (entries, below) = layer.parts();
            if let Some(index) = position_of(entries.names(), name) {
                return Some(entries.at(index));
            }
            layer = below?;
        }
    }

    /// The value of [`Attrs::get_hinted`].
    #[inline]
    pub(crate) fn value_hinted(&self, name: Symbol, hint: &Cell<u32>) -> Option<&'a Slot<'a>> {
        let mut layer = self;
        loop {
            let (entries, below) = layer.parts();
            let names = entries.names();
            let mut index = hint.get() as usize;
            if names.get(index) != Some(&name) {
                let Some(found) = position_of(names, name) else {
                    layer = below?;
                    continue;
                };
                hint.set(found as u32);
                index = found;
            }
            return Some(&entries.values()[index]);
        }
    }

    /// [`Attrs::get`] that looks first where it was found the last time at this place in the program.
    #[inline]
    pub(crate) fn get_hinted(&self, name: Symbol, hint: &Cell<u32>) -> Option<AttrRef<'a>> {
        let mut layer = self;
        loop {
            let (entries, below) = layer.parts();
            let names = entries.names();
            let hinted = hint.get() as usize;
            if names.get(hinted) == Some(&name) {
                return Some(entries.at(hinted));
            }
            if let Some(index) = position_of(names, name) {
                hint.set(index as u32);
                return Some(entries.at(index));
            }
            layer = below?;
        }
    }

    /// All attributes, sorted by symbol.
    pub fn entries(&self, arena: &'a Bump) -> Entries<'a> {
        if let (_, Some(_)) = self.parts()
            && !self.is_empty()
        {
            let merged = shared_in(arena, &self.merged());
            self.0.set(Body::Flat(merged));
        }
        self.parts().0
    }

    /// All layers' attributes together.
    fn merged(&self) -> Vec<AttrRef<'a>> {
        let (entries, mut layer) = self.parts();
        let mut merged: Vec<_> = entries.iter().collect();
        while let Some(below) = layer {
            let (entries, next) = below.parts();
            merged = merge(entries.iter(), merged.into_iter());
            layer = next;
        }
        merged
    }

    /// No attribute at all.
    pub fn is_empty(&self) -> bool {
        let (entries, below) = self.parts();
        entries.is_empty() && below.is_none_or(Attrs::is_empty)
    }

    /// These attributes over a set.
    fn layered(arena: &'a Bump, above: Entries<'a>, below: &'a Attrs<'a>) -> &'a Attrs<'a> {
        let layered = arena.alloc(Layered { above, below });
        arena.alloc(Attrs(Cell::new(Body::Layered(layered))))
    }

    /// An empty set over another, which nothing but its identity tells from one without attributes: what C++ Nix leaves of
    /// a set of which nothing is left.
    fn nothing_left(arena: &'a Bump) -> &'a Attrs<'a> {
        Self::layered(arena, Entries::NONE, Self::empty(arena))
    }

    /// C++ Nix has but one of these: every empty set, save those of which nothing is left.
    pub(crate) fn is_the_empty_set(&self) -> bool {
        let (entries, below) = self.parts();
        entries.is_empty() && below.is_none()
    }

    /// How many layers there are, and how many attributes they have, counting those twice that are in two.
    fn extent(&self) -> (usize, usize) {
        let (entries, mut layer) = self.parts();
        let (mut layers, mut attrs) = (1, entries.len());
        while let Some(below) = layer {
            let (entries, next) = below.parts();
            layers += 1;
            attrs += entries.len();
            layer = next;
        }
        (layers, attrs)
    }

    /// `self // right`
    pub(crate) fn update(
        &'a self,
        arena: &'a Bump,
        shapes: &mut Shapes<'a>,
        right: &'a Attrs<'a>,
    ) -> &'a Attrs<'a> {
        if right.is_empty() {
            return self;
        }
        if self.is_empty() {
            return right;
        }
        let (layers, saved) = self.extent();
        let (right_layers, _) = right.extent();
        if right_layers > 1 && layers + right_layers <= MOST_LAYERS {
            return self.under(arena, right);
        }
        let above = right.entries(arena);
        let pays = saved + above.len() >= MANY
            || saved >= LEAST_SAVED && saved >= SAVED_FOR_EACH * above.len();
        match self.parts() {
            (entries, below) if layers >= MOST_LAYERS => {
                Self::update_layers(arena, shapes, (entries, below), above)
            }
            _ if pays => Self::layered(arena, above, self),
            (entries, None) => Self::from_entries(arena, merged_in(arena, shapes, entries, above)),
            _ => {
                let merged = merge(self.merged().into_iter(), above.iter());
                Self::from_entries(arena, shared_in(arena, &merged))
            }
        }
    }

    /// The layers of `right` over this set.
    fn under(&'a self, arena: &'a Bump, right: &'a Attrs<'a>) -> &'a Attrs<'a> {
        let (above, below) = right.parts();
        let below = below.map_or(self, |below| self.under(arena, below));
        if above.is_empty() {
            return below;
        }
        Self::layered(arena, above, below)
    }

    /// `above` over as many layers as there may be: merges it with the smallest that lie on top, and leaves the large ones
    /// below as they are.
    fn update_layers(
        arena: &'a Bump,
        shapes: &mut Shapes<'a>,
        (entries, mut below): (Entries<'a>, Option<&'a Attrs<'a>>),
        above: Entries<'a>,
    ) -> &'a Attrs<'a> {
        let mut top = merged_in(arena, shapes, entries, above);
        while let Some(attrs) = below {
            let (entries, next) = attrs.parts();
            if entries.len() > 2 * top.len() {
                return Self::layered(arena, top, attrs);
            }
            top = merged_in(arena, shapes, entries, top);
            below = next;
        }
        Self::from_entries(arena, top)
    }

    /// The attributes whose names `names` has, too. Goes through the smaller set and looks up in the other one.
    pub(crate) fn intersect(&self, arena: &'a Bump, names: &Attrs<'a>) -> &'a Attrs<'a> {
        // The larger one needs not be merged for it.
        let (_, most) = self.extent();
        let (_, most_others) = names.extent();
        let common: Vec<AttrRef<'a>> = if most_others < most / 8 {
            let others = names.entries(arena).iter();
            others.filter_map(|attr| self.get(attr.name)).collect()
        } else if most < most_others / 8 {
            let own = self.entries(arena).iter();
            own.filter(|attr| names.get(attr.name).is_some()).collect()
        } else {
            let mut rest = names.entries(arena).names();
            let own = self.entries(arena).iter();
            own.filter(|attr| has_next(&mut rest, attr.name)).collect()
        };
        if common.is_empty() && !self.is_empty() && !names.is_empty() {
            return Self::nothing_left(arena);
        }
        Self::from_entries(arena, shared_in(arena, &common))
    }

    /// All attributes but `names`, which it has, in the order of symbols and each once: always another set.
    pub(crate) fn without(&self, arena: &'a Bump, names: &[Symbol]) -> &'a Attrs<'a> {
        if names.is_empty() {
            return arena.alloc(Attrs(Cell::new(self.0.get())));
        }
        let entries = self.entries(arena);
        if entries.len() == names.len() {
            return Self::nothing_left(arena);
        }
        let mut names = names.iter().peekable();
        let kept = entries
            .iter()
            .filter(|attr| names.next_if(|&&name| name == attr.name).is_none());
        let kept: Vec<AttrRef<'a>> = kept.collect();
        Self::from_entries(arena, shared_in(arena, &kept))
    }

    /// Looks up names in the order of symbols.
    pub(crate) fn walk(&self) -> Walk<'a, '_> {
        let (entries, below) = self.parts();
        Walk {
            attrs: self,
            flat: below.is_none().then_some(entries),
            passed: 0,
        }
    }
}

/// See [`Attrs::walk`].
pub(crate) struct Walk<'a, 's> {
    attrs: &'s Attrs<'a>,
    /// The attributes, if there is but one layer, and how many are passed.
    flat: Option<Entries<'a>>,
    passed: usize,
}

impl<'a> Walk<'a, '_> {
    /// The attribute called `name`, which is greater than any name looked up before.
    #[inline]
    pub(crate) fn get(&mut self, name: Symbol) -> Option<AttrRef<'a>> {
        let Some(entries) = &self.flat else {
            return self.attrs.get(name);
        };
        let rest = &entries.names()[self.passed..];
        if rest.len() > LONG_WALK {
            return self.attrs.get(name);
        }
        for &first in rest {
            if first > name {
                return None;
            }
            self.passed += 1;
            if first == name {
                return Some(entries.at(self.passed - 1));
            }
        }
        None
    }
}

/// Up to this many attributes are passed one after the other rather than searched.
const LONG_WALK: usize = 32;

/// Whether `name` is next in `rest`, once what comes before it is skipped.
#[inline]
fn has_next(rest: &mut &[Symbol], name: Symbol) -> bool {
    while let Some((&first, others)) = rest.split_first() {
        if first >= name {
            return first == name;
        }
        *rest = others;
    }
    false
}

/// Attributes for another set.
fn shared_in<'a>(arena: &'a Bump, attrs: &[AttrRef<'a>]) -> Entries<'a> {
    let names = attrs.iter().map(|attr| (attr.name, attr.position));
    let shape = Shape::of(arena, attrs.len(), names);
    let values =
        arena.alloc_slice_fill_with(attrs.len(), |index| Slot::new(attrs[index].value.share()));
    Entries::new(shape, values)
}

/// As [`merge`], of two layers, straight into the arena.
fn merged_in<'a>(
    arena: &'a Bump,
    shapes: &mut Shapes<'a>,
    left: Entries<'a>,
    right: Entries<'a>,
) -> Entries<'a> {
    let shape = shapes.merged(arena, left.shape(), right.shape());
    let mut left_rest = left.names().iter().zip(left.values());
    let mut right_rest = right.names().iter().zip(right.values());
    let mut next_right = right_rest.next();
    let mut names = shape.names().iter();
    let values = arena.alloc_slice_fill_with(shape.names().len(), |_| {
        let name = names.next();
        let value = match next_right {
            Some((right, value)) if Some(right) == name => {
                next_right = right_rest.next();
                let after = left_rest.clone();
                if left_rest.next().map(|(left, _)| left) != name {
                    left_rest = after;
                }
                value
            }
            _ => left_rest.next().expect("a name is of one of the two").1,
        };
        Slot::new(value.share())
    });
    Entries::new(shape, values)
}

#[inline]
fn position_of(names: &[Symbol], name: Symbol) -> Option<usize> {
    if names.len() <= 8 {
        names.iter().position(|&other| other == name)
    } else {
        names.binary_search(&name).ok()
    }
}

/// Both sides' attributes, the right one's where both have a name.
fn merge<'a>(
    left: impl ExactSizeIterator<Item = AttrRef<'a>>,
    right: impl ExactSizeIterator<Item = AttrRef<'a>>,
) -> Vec<AttrRef<'a>> {
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

#[cfg(test)]
mod tests;
