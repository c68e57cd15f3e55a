//! Attributes: of sets, and those that sets are made of.

use std::ops::Range;

use crate::position::PosIdx;
use crate::shape::Shape;
use crate::symbol::Symbol;
use crate::value::{Slot, Value};

/// An attribute that a set is made of.
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
}

/// An attribute of a set.
#[derive(Clone, Copy)]
pub struct AttrRef<'a> {
    /// Its name.
    pub name: Symbol,
    /// Where it was defined.
    pub position: PosIdx,
    /// Its value.
    pub value: &'a Slot<'a>,
}

impl<'a> AttrRef<'a> {
    /// The same attribute for another set: both share the cell while the value is not there.
    pub(crate) fn shared(self) -> Attr<'a> {
        Attr::new(self.name, self.position, self.value.share())
    }
}

/// Attributes sorted by symbol: a shape, and the value of each of its names.
#[derive(Clone, Copy)]
pub struct Entries<'a> {
    shape: &'a Shape<'a>,
    values: &'a [Slot<'a>],
}

impl<'a> Entries<'a> {
    /// No attributes.
    pub(crate) const NONE: Entries<'a> = Entries {
        shape: &Shape::EMPTY,
        values: &[],
    };

    /// Attributes whose names have these values.
    #[inline]
    pub(crate) fn new(shape: &'a Shape<'a>, values: &'a [Slot<'a>]) -> Self {
        debug_assert_eq!(shape.names().len(), values.len());
        Self { shape, values }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The attributes, in the order of their symbols.
    pub fn iter(&self) -> EntriesIter<'a> {
        EntriesIter {
            entries: *self,
            rest: 0..self.len(),
        }
    }

    /// Their names and where they are defined.
    pub(crate) fn shape(&self) -> &'a Shape<'a> {
        self.shape
    }

    /// Their values, in the order of the names.
    #[inline]
    pub(crate) fn values(&self) -> &'a [Slot<'a>] {
        self.values
    }

    /// Their names, sorted by symbol.
    #[inline]
    pub(crate) fn names(&self) -> &'a [Symbol] {
        self.shape.names()
    }

    /// The attribute of that number.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> AttrRef<'a> {
        AttrRef {
            name: self.names()[index],
            position: self.shape.position(index),
            value: &self.values[index],
        }
    }
}

impl<'a> IntoIterator for Entries<'a> {
    type Item = AttrRef<'a>;
    type IntoIter = EntriesIter<'a>;

    fn into_iter(self) -> EntriesIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Entries<'a> {
    type Item = AttrRef<'a>;
    type IntoIter = EntriesIter<'a>;

    fn into_iter(self) -> EntriesIter<'a> {
        self.iter()
    }
}

/// See [`Entries::iter`].
#[derive(Clone)]
pub struct EntriesIter<'a> {
    entries: Entries<'a>,
    rest: Range<usize>,
}

impl<'a> Iterator for EntriesIter<'a> {
    type Item = AttrRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<AttrRef<'a>> {
        let index = self.rest.next()?;
        Some(self.entries.at(index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl ExactSizeIterator for EntriesIter<'_> {}
