//! Environments: the values of variables.

use std::cell::Cell;

use bumpalo::Bump;

use crate::value::{Slot, Value};

/// The variables of one scope, and the scope around it, as thunks and functions keep them: where its first cell is among
/// those of [`Levels`], number of the block and place in it. Half as large as a pointer, so that a delayed expression and
/// its environment fit a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LevelId(pub(crate) u32);

/// Cells in a block.
const BLOCK: usize = 1 << BLOCK_BITS;
const BLOCK_BITS: u32 = 11;

type Block<'a> = [Slot<'a>; BLOCK];

/// The cells of all levels, numbered from the first block's first one. A level's first cell says, as a number, how many
/// variables follow and which level is around it.
pub(crate) struct Levels<'a> {
    blocks: Vec<&'a Block<'a>>,
    /// The cells of the last block that no level has yet, and the number of the first of them.
    free: &'a [Slot<'a>],
    next: u32,
    /// Levels larger than a block, whole. Their cells are several blocks one after the other.
    large: Vec<(LevelId, &'a [Slot<'a>])>,
}

impl<'a> Levels<'a> {
    /// The level around every file: empty.
    pub(crate) const ROOT: LevelId = LevelId(0);

    /// The root, and room for others.
    pub(crate) fn new(arena: &'a Bump) -> Self {
        let mut levels = Self {
            blocks: Vec::new(),
            free: &[],
            next: 0,
            large: Vec::new(),
        };
        levels.open(arena, Self::ROOT, 0);
        levels
    }

    /// A level of `count` variables inside `up`. They are null.
    #[inline]
    pub(crate) fn open(
        &mut self,
        arena: &'a Bump,
        up: LevelId,
        count: usize,
    ) -> (LevelId, &'a [Slot<'a>]) {
        if let Some((head, rest)) = self.free.split_first()
            && let Some((slots, free)) = rest.split_at_checked(count)
        {
            head.set(Self::head(up, count));
            let id = LevelId(self.next);
            self.free = free;
            self.next += 1 + count as u32;
            return (id, slots);
        }
        self.open_in_new_block(arena, up, count)
    }

    #[cold]
    fn open_in_new_block(
        &mut self,
        arena: &'a Bump,
        up: LevelId,
        count: usize,
    ) -> (LevelId, &'a [Slot<'a>]) {
        if count >= BLOCK {
            return self.open_large(arena, up, count);
        }
        self.next = (self.blocks.len() << BLOCK_BITS) as u32;
        self.free = self.add_blocks(arena, 1);
        self.open(arena, up, count)
    }

    fn open_large(
        &mut self,
        arena: &'a Bump,
        up: LevelId,
        count: usize,
    ) -> (LevelId, &'a [Slot<'a>]) {
        let cells = self.add_blocks(arena, (1 + count).div_ceil(BLOCK));
        let first = self.blocks.len() - cells.len() / BLOCK;
        let id = LevelId((first << BLOCK_BITS) as u32);
        cells[0].set(Self::head(up, count));
        let slots = &cells[1..=count];
        self.large.push((id, slots));
        (id, slots)
    }

    fn add_blocks(&mut self, arena: &'a Bump, count: usize) -> &'a [Slot<'a>] {
        assert!(
            self.blocks.len() + count <= 1 << (u32::BITS - BLOCK_BITS),
            "an evaluation has room for 64 GiB of variables"
        );
        let cells: &'a [Slot<'a>] =
            arena.alloc_slice_fill_with(count * BLOCK, |_| Slot::new(Value::Null));
        self.blocks.extend(cells.as_chunks().0);
        cells
    }

    /// What a first cell says.
    fn head(up: LevelId, count: usize) -> Value<'a> {
        Value::Int((count as i64) << 32 | i64::from(up.0))
    }

    #[inline]
    fn cell(&self, number: u32) -> &'a Slot<'a> {
        &self.blocks[(number >> BLOCK_BITS) as usize][number as usize % BLOCK]
    }

    /// The level around one, and how many variables it has.
    #[inline]
    fn around(&self, level: LevelId) -> (LevelId, usize) {
        Self::said_by(self.cell(level.0))
    }

    /// What a level's first cell says: the level around it, and how many variables it has.
    #[inline]
    fn said_by(head: &Slot<'a>) -> (LevelId, usize) {
        match head.get() {
            Value::Int(head) => (LevelId(head as u32), (head >> 32) as usize),
            _ => unreachable!("a level starts with a number"),
        }
    }

    /// The cell of a variable of this scope.
    #[inline]
    pub(crate) fn slot(&self, level: LevelId, index: u32) -> &'a Slot<'a> {
        self.cell(level.0 + 1 + index)
    }

    /// The cells of all variables of this scope.
    #[inline]
    pub(crate) fn slots(&self, level: LevelId) -> &'a [Slot<'a>] {
        self.env(level).slots
    }

    #[cold]
    fn large_slots(&self, level: LevelId) -> &'a [Slot<'a>] {
        let place = self.large.binary_search_by_key(&level.0, |(id, _)| id.0);
        self.large[place.expect("a level is in one block, or large")].1
    }

    /// What code in this level runs in.
    #[inline]
    pub(crate) fn env(&self, level: LevelId) -> Env<'a, 'a> {
        let block: &'a Block<'a> = self.blocks[(level.0 >> BLOCK_BITS) as usize];
        let (head, rest) = block[level.0 as usize % BLOCK..]
            .split_first()
            .expect("a level is within its block");
        let (up, count) = Self::said_by(head);
        let slots = rest.get(..count).unwrap_or_else(|| self.large_slots(level));
        Env::opened(up, level, slots)
    }

    /// The scope `depth` levels out of `level`.
    #[inline]
    fn outer(&self, mut level: LevelId, depth: u32) -> LevelId {
        for _ in 0..depth {
            level = self.around(level).0;
        }
        level
    }
}

/// What code runs in: the variables of the innermost scope, and the scopes around it.
///
/// The innermost scope of a call may live on the native stack (`'s` shorter than `'a`): then its slots hold only values
/// that may be copied. When something is made that outlives the call (a thunk, a function), [`Env::capture`] copies the
/// scope to the arena, at most once per call; both copies are good from then on, for variables never change.
pub(crate) struct Env<'s, 'a> {
    up: LevelId,
    slots: &'s [Slot<'a>],
    level: Cell<Option<LevelId>>,
}

impl<'s, 'a> Env<'s, 'a> {
    /// A scope on the native stack. No slot may hold what [`Slot::share`] would not give.
    #[inline]
    pub(crate) fn on_stack(up: LevelId, slots: &'s [Slot<'a>]) -> Self {
        Self {
            up,
            slots,
            level: Cell::new(None),
        }
    }

    /// A scope that has just been opened.
    #[inline]
    pub(crate) fn opened(up: LevelId, level: LevelId, slots: &'s [Slot<'a>]) -> Self {
        Self {
            up,
            slots,
            level: Cell::new(Some(level)),
        }
    }

    /// The cells of its variables.
    pub(crate) fn slots(&self) -> &'s [Slot<'a>] {
        self.slots
    }

    /// This scope as one that can be kept.
    #[inline]
    pub(crate) fn capture(&self, levels: &mut Levels<'a>, arena: &'a Bump) -> LevelId {
        match self.level.get() {
            Some(level) => level,
            None => self.copy_to_arena(levels, arena),
        }
    }

    #[cold]
    fn copy_to_arena(&self, levels: &mut Levels<'a>, arena: &'a Bump) -> LevelId {
        let (level, slots) = levels.open(arena, self.up, self.slots.len());
        for (copy, slot) in slots.iter().zip(self.slots) {
            copy.set(slot.get());
        }
        self.level.set(Some(level));
        level
    }

    /// The cell of a variable.
    #[expect(
        clippy::inline_always,
        reason = "it is small, and nothing is called as often"
    )]
    #[inline(always)]
    pub(crate) fn slot(&self, levels: &Levels<'a>, depth: u32, index: u32) -> &Slot<'a> {
        match depth {
            0 => &self.slots[index as usize],
            1 => levels.slot(self.up, index),
            _ => self.outer_slot(levels, depth, index),
        }
    }

    #[inline]
    fn outer_slot(&self, levels: &Levels<'a>, depth: u32, index: u32) -> &'a Slot<'a> {
        levels.slot(levels.outer(self.up, depth - 1), index)
    }

    /// The cell of a variable that is not computed yet: such a one is always in the arena.
    pub(crate) fn arena_slot(&self, levels: &Levels<'a>, depth: u32, index: u32) -> &'a Slot<'a> {
        if depth == 0 {
            let level = self.level.get();
            let level = level.expect("a scope on the stack holds no inner value");
            levels.slot(level, index)
        } else {
            self.outer_slot(levels, depth, index)
        }
    }

    /// A variable's value in a form that may be copied.
    #[inline]
    pub(crate) fn share(&self, levels: &Levels<'a>, depth: u32, index: u32) -> Value<'a> {
        let slot = match depth {
            0 => {
                let value = self.slots[index as usize].get();
                if value.is_whnf() {
                    return value;
                }
                match value {
                    Value::Thunk(inner) => inner,
                    _ => self.arena_slot(levels, 0, index),
                }
            }
            1 => levels.slot(self.up, index),
            _ => self.outer_slot(levels, depth, index),
        };
        slot.share()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels of all sizes, around the size of a block and beyond it, keep their variables and what is around them.
    #[test]
    fn levels_of_all_sizes_are_found_again() {
        let arena = Bump::new();
        let mut levels = Levels::new(&arena);
        let sizes = [0, 1, 3, 2046, 2047, 2048, 5, 2049, 4095, 4096, 10_000, 1];
        let mut opened = Vec::new();
        let mut up = Levels::ROOT;
        for (number, size) in sizes.into_iter().enumerate() {
            let (level, slots) = levels.open(&arena, up, size);
            assert_eq!(slots.len(), size);
            for (index, slot) in slots.iter().enumerate() {
                slot.set(Value::Int((number * 100_000 + index) as i64));
            }
            opened.push((level, up, size));
            up = level;
        }
        for (number, (level, up, size)) in opened.into_iter().enumerate() {
            assert_eq!(levels.around(level), (up, size));
            assert_eq!(levels.slots(level).len(), size);
            for index in 0..size {
                let expected = (number * 100_000 + index) as i64;
                let found = levels.slot(level, index as u32).get();
                assert!(matches!(found, Value::Int(found) if found == expected));
                let found = levels.env(level).slots[index].get();
                assert!(matches!(found, Value::Int(found) if found == expected));
            }
        }
    }
}
