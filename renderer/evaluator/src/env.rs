//! Environments: the values of variables.

use bumpalo::Bump;
use std::cell::Cell;

use crate::value::{Slot, Value};

/// The variables of one scope, and the scope around it, as thunks and functions keep them.
pub struct Level<'a> {
    up: Option<&'a Level<'a>>,
    slots: &'a [Slot<'a>],
}

impl<'a> Level<'a> {
    /// A scope inside `up`.
    #[inline]
    pub(crate) fn new(
        arena: &'a Bump,
        up: Option<&'a Level<'a>>,
        slots: &'a [Slot<'a>],
    ) -> &'a Level<'a> {
        arena.alloc(Level { up, slots })
    }

    /// The cell of a variable of this scope.
    #[inline]
    pub(crate) fn slot(&self, index: u32) -> &'a Slot<'a> {
        &self.slots[index as usize]
    }
}

/// What code runs in: the variables of the innermost scope, and the scopes around it.
///
/// The innermost scope of a call may live on the native stack (`'s` shorter than `'a`): then its slots hold only values
/// that may be copied. When something is made that outlives the call (a thunk, a function), [`Env::capture`] copies the
/// scope to the arena, at most once per call; both copies are good from then on, for variables never change.
pub(crate) struct Env<'s, 'a> {
    up: Option<&'a Level<'a>>,
    slots: &'s [Slot<'a>],
    level: Cell<Option<&'a Level<'a>>>,
}

impl<'s, 'a> Env<'s, 'a> {
    /// A scope on the native stack. No slot may hold what [`Slot::share`] would not give.
    #[inline]
    pub(crate) fn on_stack(up: &'a Level<'a>, slots: &'s [Slot<'a>]) -> Self {
        Self {
            up: Some(up),
            slots,
            level: Cell::new(None),
        }
    }

    /// A scope that thunks and functions can keep.
    #[inline]
    pub(crate) fn of(level: &'a Level<'a>) -> Env<'a, 'a> {
        Env {
            up: level.up,
            slots: level.slots,
            level: Cell::new(Some(level)),
        }
    }

    /// This scope as one that can be kept.
    #[inline]
    pub(crate) fn capture(&self, arena: &'a Bump) -> &'a Level<'a> {
        match self.level.get() {
            Some(level) => level,
            None => self.copy_to_arena(arena),
        }
    }

    #[cold]
    fn copy_to_arena(&self, arena: &'a Bump) -> &'a Level<'a> {
        let slots =
            arena.alloc_slice_fill_with(self.slots.len(), |i| Slot::new(self.slots[i].get()));
        let level = Level::new(arena, self.up, slots);
        self.level.set(Some(level));
        level
    }

    /// The scope `depth` levels out, which is in the arena for every level but the innermost.
    #[inline]
    fn outer(&self, depth: u32) -> &'a Level<'a> {
        let mut level = self
            .up
            .expect("the resolver counts no more levels than there are");
        for _ in 1..depth {
            level = level
                .up
                .expect("the resolver counts no more levels than there are");
        }
        level
    }

    /// The cell of a variable.
    #[inline]
    pub(crate) fn slot(&self, depth: u32, index: u32) -> &Slot<'a> {
        if depth == 0 {
            &self.slots[index as usize]
        } else {
            self.outer(depth).slot(index)
        }
    }

    /// The cell of a variable that is not computed yet: such a one is always in the arena.
    pub(crate) fn arena_slot(&self, depth: u32, index: u32) -> &'a Slot<'a> {
        if depth == 0 {
            let level = self.level.get();
            let level = level.expect("a scope on the stack holds no inner value");
            level.slot(index)
        } else {
            self.outer(depth).slot(index)
        }
    }

    /// A variable's value in a form that may be copied.
    #[inline]
    pub(crate) fn share(&self, depth: u32, index: u32) -> Value<'a> {
        match self.slot(depth, index).get() {
            Value::Delayed(..)
            | Value::Mapped(..)
            | Value::Application(_)
            | Value::Blackhole
            | Value::Failed(_) => Value::Thunk(self.arena_slot(depth, index)),
            Value::Thunk(inner) => inner.share(),
            value => value,
        }
    }
}
