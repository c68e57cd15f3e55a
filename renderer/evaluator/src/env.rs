//! Environments: the values of variables.

use bumpalo::Bump;
use std::cell::Cell;

use crate::value::{Slot, Value};

/// The variables of one scope that is being evaluated, and the scope around it.
///
/// The innermost scope of a call may live on the native stack (`'s` shorter than `'a`): then its slots hold only values
/// that may be copied. When something is made that outlives the call (a thunk, a function), [`Env::capture`] copies the
/// scope to the arena, at most once per call; both copies are good from then on, for variables never change.
pub struct Env<'s, 'a> {
    up: Option<&'a Env<'a, 'a>>,
    captured: Cell<Option<&'a Env<'a, 'a>>>,
    slots: &'s [Slot<'a>],
}

impl<'s, 'a> Env<'s, 'a> {
    /// A scope on the native stack. No slot may hold what [`Slot::share`] would not give.
    #[inline]
    pub(crate) fn on_stack(up: &'a Env<'a, 'a>, slots: &'s [Slot<'a>]) -> Self {
        Self {
            up: Some(up),
            captured: Cell::new(None),
            slots,
        }
    }

    /// A scope that thunks and functions can keep.
    #[inline]
    pub(crate) fn in_arena(
        arena: &'a Bump,
        up: Option<&'a Env<'a, 'a>>,
        slots: &'a [Slot<'a>],
    ) -> &'a Env<'a, 'a> {
        let env: &'a Env<'a, 'a> = arena.alloc(Env {
            up,
            captured: Cell::new(None),
            slots,
        });
        env.captured.set(Some(env));
        env
    }

    /// This scope as one that can be kept.
    #[inline]
    pub(crate) fn capture(&self, arena: &'a Bump) -> &'a Env<'a, 'a> {
        match self.captured.get() {
            Some(env) => env,
            None => self.copy_to_arena(arena),
        }
    }

    #[cold]
    fn copy_to_arena(&self, arena: &'a Bump) -> &'a Env<'a, 'a> {
        let slots =
            arena.alloc_slice_fill_with(self.slots.len(), |i| Slot::new(self.slots[i].get()));
        let env = Env::in_arena(arena, self.up, slots);
        self.captured.set(Some(env));
        env
    }

    /// The scope `depth` levels out, which is in the arena for every level but the innermost.
    #[inline]
    fn outer(&self, depth: u32) -> &'a Env<'a, 'a> {
        let mut env = self
            .up
            .expect("the resolver counts no more levels than there are");
        for _ in 1..depth {
            env = env
                .up
                .expect("the resolver counts no more levels than there are");
        }
        env
    }

    /// The cell of a variable.
    #[inline]
    pub(crate) fn slot(&self, depth: u32, index: u32) -> &Slot<'a> {
        if depth == 0 {
            &self.slots[index as usize]
        } else {
            &self.outer(depth).slots[index as usize]
        }
    }

    /// The cell of a variable that is not computed yet: such a one is always in the arena.
    pub(crate) fn arena_slot(&self, depth: u32, index: u32) -> &'a Slot<'a> {
        if depth == 0 {
            let env = self
                .captured
                .get()
                .expect("a scope on the stack holds no inner value");
            &env.slots[index as usize]
        } else {
            &self.outer(depth).slots[index as usize]
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
