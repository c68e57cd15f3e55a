//! Environments: the values of variables.

use bumpalo::Bump;
use std::cell::Cell;

use crate::value::{Slot, Value};

/// The variables of one scope, and the scope around it, as thunks and functions keep them: where its first cell is among
/// those of [`Levels`], number of the block and place in it. Half as large as a pointer, so that a delayed expression and
/// its environment fit a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LevelId(pub(crate) u32);

/// Cells in a block, but where one level needs more.
const BLOCK: usize = 1 << BLOCK_BITS;
const BLOCK_BITS: u32 = 11;

/// The cells of all levels. A level's first cell says, as a number, how many variables follow and which level is around it.
pub(crate) struct Levels<'a> {
    blocks: Vec<&'a [Slot<'a>]>,
    /// Cells in use of the last block.
    used: usize,
}

impl<'a> Levels<'a> {
    /// The level around every file: empty.
    pub(crate) const ROOT: LevelId = LevelId(0);

    /// The root, and room for others.
    pub(crate) fn new(arena: &'a Bump) -> Self {
        let mut levels = Self {
            blocks: Vec::new(),
            used: BLOCK,
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
        if self.used + count >= BLOCK {
            self.add_block(arena, count);
        }
        let number = self.blocks.len() - 1;
        let (head, slots) = self.blocks[number][self.used..=self.used + count]
            .split_first()
            .expect("a level has a first cell");
        head.set(Value::Int((count as i64) << 32 | i64::from(up.0)));
        let id = LevelId((number << BLOCK_BITS | self.used) as u32);
        self.used += 1 + count;
        (id, slots)
    }

    #[cold]
    fn add_block(&mut self, arena: &'a Bump, count: usize) {
        assert!(
            self.blocks.len() < 1 << (u32::BITS - BLOCK_BITS),
            "an evaluation has room for 64 GiB of variables"
        );
        let cells = BLOCK.max(1 + count);
        self.blocks
            .push(arena.alloc_slice_fill_with(cells, |_| Slot::new(Value::Null)));
        self.used = 0;
    }

    /// The block that a level is in, and its place there.
    #[inline]
    fn place(&self, level: LevelId) -> (&'a [Slot<'a>], usize) {
        let block = self.blocks[(level.0 >> BLOCK_BITS) as usize];
        (block, level.0 as usize % BLOCK)
    }

    /// What a first cell says: the level around, and how many variables there are.
    #[inline]
    fn head(cell: &Slot<'a>) -> (LevelId, usize) {
        match cell.get() {
            Value::Int(head) => (LevelId(head as u32), (head >> 32) as usize),
            _ => unreachable!("a level starts with a number"),
        }
    }

    /// The cell of a variable of this scope.
    #[inline]
    pub(crate) fn slot(&self, level: LevelId, index: u32) -> &'a Slot<'a> {
        let (block, start) = self.place(level);
        &block[start + 1 + index as usize]
    }

    /// The cells of all variables of this scope.
    #[inline]
    pub(crate) fn slots(&self, level: LevelId) -> &'a [Slot<'a>] {
        let (block, start) = self.place(level);
        &block[start + 1..][..Self::head(&block[start]).1]
    }

    /// What code in this level runs in.
    #[inline]
    pub(crate) fn env(&self, level: LevelId) -> Env<'a, 'a> {
        let (block, start) = self.place(level);
        let (up, count) = Self::head(&block[start]);
        Env::opened(up, level, &block[start + 1..][..count])
    }

    /// The scope `depth` levels out of `level`.
    fn outer(&self, mut level: LevelId, depth: u32) -> LevelId {
        for _ in 0..depth {
            let (block, start) = self.place(level);
            level = Self::head(&block[start]).0;
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
        match self.slot(levels, depth, index).get() {
            Value::Thunk(inner) => inner.share(),
            value if value.is_whnf() => value,
            _ => Value::Thunk(self.arena_slot(levels, depth, index)),
        }
    }
}
