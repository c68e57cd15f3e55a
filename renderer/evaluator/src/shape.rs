//! Shapes: the names of a set's attributes, and where they are defined. Sets made at one place in a program share theirs.

use bumpalo::Bump;

use crate::position::PosIdx;
use crate::symbol::Symbol;

/// The names of a set's attributes, sorted by symbol, each once, and where each is defined.
pub(crate) struct Shape<'a> {
    names: &'a [Symbol],
    /// None at all if no attribute has a position.
    positions: &'a [PosIdx],
}

impl<'a> Shape<'a> {
    /// The shape of a set of nothing.
    pub(crate) const EMPTY: Shape<'static> = Shape {
        names: &[],
        positions: &[],
    };

    /// The shape of `count` attributes.
    pub(crate) fn of(
        arena: &'a Bump,
        count: usize,
        attrs: impl Iterator<Item = (Symbol, PosIdx)> + Clone,
    ) -> &'a Self {
        let mut names = attrs.clone().map(|(name, _)| name);
        let names = arena.alloc_slice_fill_with(count, |_| names.next().expect("one for each"));
        let positions = if attrs.clone().any(|(_, position)| position.is_some()) {
            let mut positions = attrs.map(|(_, position)| position);
            arena.alloc_slice_fill_with(count, |_| positions.next().expect("one for each"))
        } else {
            &mut []
        };
        arena.alloc(Self { names, positions })
    }

    /// The names, sorted.
    #[inline]
    pub(crate) fn names(&self) -> &'a [Symbol] {
        self.names
    }

    /// Where the attribute of that number is defined.
    #[inline]
    pub(crate) fn position(&self, index: usize) -> PosIdx {
        self.positions.get(index).copied().unwrap_or(PosIdx::NONE)
    }

    /// The same names, none of them defined anywhere.
    pub(crate) fn without_positions(&'a self, arena: &'a Bump) -> &'a Self {
        if self.positions.is_empty() {
            return self;
        }
        arena.alloc(Self {
            names: self.names,
            positions: &[],
        })
    }

    /// The shape of `left // right`.
    fn merged(arena: &'a Bump, left: &'a Self, right: &'a Self) -> &'a Self {
        let mut merged = Vec::with_capacity(left.names.len() + right.names.len());
        let (mut l, mut r) = (0, 0);
        loop {
            match (left.names.get(l), right.names.get(r)) {
                (Some(&name), of_right) if of_right.is_none_or(|&other| name < other) => {
                    merged.push((name, left.position(l)));
                    l += 1;
                }
                (of_left, Some(&name)) => {
                    l += usize::from(of_left == Some(&name));
                    merged.push((name, right.position(r)));
                    r += 1;
                }
                _ => break,
            }
        }
        if merged.len() == right.names.len() {
            return right;
        }
        Self::of(arena, merged.len(), merged.iter().copied())
    }
}

/// Shapes of the sets that `//` made lately: those of one place in a program are mostly of the same two shapes.
#[derive(Default)]
pub(crate) struct Shapes<'a> {
    merged: Vec<Option<Merged<'a>>>,
}

#[derive(Clone, Copy)]
struct Merged<'a> {
    left: &'a Shape<'a>,
    right: &'a Shape<'a>,
    shape: &'a Shape<'a>,
}

/// How many are remembered, each in the place that its two shapes' addresses say.
const REMEMBERED: usize = 1 << REMEMBERED_BITS;
const REMEMBERED_BITS: u32 = 12;

impl<'a> Shapes<'a> {
    /// The shape of `left // right`.
    pub(crate) fn merged(
        &mut self,
        arena: &'a Bump,
        left: &'a Shape<'a>,
        right: &'a Shape<'a>,
    ) -> &'a Shape<'a> {
        if self.merged.is_empty() {
            self.merged.resize(REMEMBERED, None);
        }
        let (l, r) = (
            std::ptr::from_ref(left).addr() as u64,
            std::ptr::from_ref(right).addr() as u64,
        );
        let hash = (l.rotate_left(23) ^ r).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let place = &mut self.merged[(hash >> (u64::BITS - REMEMBERED_BITS)) as usize];
        if let Some(known) = place
            && std::ptr::eq(known.left, left)
            && std::ptr::eq(known.right, right)
        {
            return known.shape;
        }
        let shape = Shape::merged(arena, left, right);
        *place = Some(Merged { left, right, shape });
        shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape<'a>(arena: &'a Bump, names: &[u32], position: PosIdx) -> &'a Shape<'a> {
        let attrs = names.iter().map(|&name| (Symbol(name), position));
        Shape::of(arena, names.len(), attrs)
    }

    #[test]
    fn merged_shapes_have_all_names_and_the_right_ones_positions() {
        let arena = Bump::new();
        let mut shapes = Shapes::default();
        let cases: [(&[u32], &[u32], &[u32]); 6] = [
            (&[], &[], &[]),
            (&[1, 3], &[2], &[1, 2, 3]),
            (&[2], &[1, 3], &[1, 2, 3]),
            (&[1, 2, 3], &[2], &[1, 2, 3]),
            (&[2], &[1, 2, 3], &[1, 2, 3]),
            (&[5, 9], &[1, 9, 12], &[1, 5, 9, 12]),
        ];
        for (left, right, expected) in cases {
            let place = crate::position::Positions::at(1, 5);
            let (l, r) = (
                shape(&arena, left, PosIdx::NONE),
                shape(&arena, right, place),
            );
            let merged = shapes.merged(&arena, l, r);
            let names: Vec<u32> = merged.names().iter().map(|name| name.0).collect();
            assert_eq!(names, expected);
            for (index, name) in names.iter().enumerate() {
                assert_eq!(merged.position(index).is_some(), right.contains(name));
            }
            assert!(std::ptr::eq(merged, shapes.merged(&arena, l, r)));
        }
    }

    #[test]
    fn shapes_beyond_those_remembered_are_right() {
        let arena = Bump::new();
        let mut shapes = Shapes::default();
        for name in 0..20_000 {
            let (l, r) = (
                shape(&arena, &[name], PosIdx::NONE),
                shape(&arena, &[name + 1], PosIdx::NONE),
            );
            let names = shapes.merged(&arena, l, r).names();
            assert_eq!(names, [Symbol(name), Symbol(name + 1)]);
        }
    }
}
