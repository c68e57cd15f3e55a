//! Values, and the cells that hold them.

use bumpalo::Bump;
use std::cell::Cell;

use crate::attrs::{Attr, Attrs};
use crate::builtins::Builtin;
use crate::context::Context;
use crate::env::Level;
use crate::expr::{LambdaCode, ThunkId};

/// A Nix value in 16 bytes. Everything behind it lives in the evaluation's arena.
///
/// What an evaluation hands out is in weak head normal form: one of the variants up to [`Value::PartialApplication`].
/// The variants after that say how a value that is not there yet is to be made. All but [`Value::Thunk`] occur only
/// inside a [`Slot`], because a copy of them would compute twice what is to be computed once.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// Bytes with a context.
    String(&'a NixString<'a>),
    /// An absolute, normalised path.
    Path(&'a NixPath<'a>),
    /// A list.
    List(&'a List<'a>),
    /// A set.
    Attrs(&'a Attrs<'a>),
    /// A function written in Nix.
    Lambda(&'a Lambda<'a>),
    /// A builtin function that has no argument yet.
    Builtin(&'a Builtin<'a>),
    /// A function that waits for more arguments.
    PartialApplication(&'a PartialApplication<'a>),

    /// The value is, or will be, in that cell.
    Thunk(&'a Slot<'a>),
    /// An expression to be evaluated.
    Delayed(ThunkId, &'a Level<'a>),
    /// Element number n of a mapped list, set or range.
    Mapped(u32, &'a Mapped<'a>),
    /// A call to be made.
    Application(&'a PartialApplication<'a>),
    /// The value is being computed: whoever finds this needs it for itself.
    Blackhole,
    /// Computing the value has failed, and would fail again.
    Failed(&'a Failure<'a>),
}

/// What is left of a value whose computation failed.
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    /// Number of the failure: all that it made fail share it.
    pub(crate) id: u32,
    /// What there was to compute, for where nobody has kept the error.
    pub(crate) state: Value<'a>,
}

/// A cell with a value that may still have to be computed; computing puts the result in its place.
pub struct Slot<'a>(Cell<Value<'a>>);

impl<'a> Slot<'a> {
    /// A cell with `value`.
    pub const fn new(value: Value<'a>) -> Self {
        Self(Cell::new(value))
    }

    /// What the cell holds now, computed or not. Not to be copied into another cell: see [`Slot::share`].
    #[inline]
    pub(crate) fn get(&self) -> Value<'a> {
        self.0.get()
    }

    /// Puts `value` in the cell.
    #[inline]
    pub(crate) fn set(&self, value: Value<'a>) {
        self.0.set(value);
    }

    /// For what puts values into cells that are none of these.
    #[inline]
    pub(crate) fn cell(&self) -> &Cell<Value<'a>> {
        &self.0
    }

    /// The cell that this one names, or this one: the one in which a value is, or will be, computed.
    pub(crate) fn last(&'a self) -> &'a Self {
        let mut cell = self;
        while let Value::Thunk(inner) = cell.get() {
            cell = inner;
        }
        cell
    }

    /// A value that may be copied freely and stands for this cell's: the value itself once it is there.
    #[inline]
    pub fn share(&'a self) -> Value<'a> {
        match self.get() {
            Value::Delayed(..)
            | Value::Mapped(..)
            | Value::Application(_)
            | Value::Blackhole
            | Value::Failed(_) => Value::Thunk(self),
            Value::Thunk(inner) if inner.get().is_whnf() => {
                self.set(inner.get());
                inner.get()
            }
            value => value,
        }
    }
}

impl Value<'_> {
    /// The value is there, up to its outermost constructor.
    #[inline]
    pub fn is_whnf(&self) -> bool {
        !matches!(
            self,
            Value::Thunk(_)
                | Value::Delayed(..)
                | Value::Mapped(..)
                | Value::Application(_)
                | Value::Blackhole
                | Value::Failed(_)
        )
    }
}

/// A string: bytes in no particular encoding, and the store paths they refer to.
#[derive(Clone, Copy)]
pub struct NixString<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// What they refer to; `None` is the common case.
    pub context: Option<&'a Context<'a>>,
}

impl<'a> NixString<'a> {
    /// A string without context.
    pub fn plain(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            context: None,
        }
    }
}

/// A path value: absolute, without `.`, `..`, doubled or trailing slashes.
#[derive(Clone, Copy)]
pub struct NixPath<'a> {
    /// The path.
    pub bytes: &'a [u8],
}

/// A list: a slice of cells, which `tail` and the like share.
pub struct List<'a> {
    /// The elements.
    pub items: &'a [Slot<'a>],
}

/// A function written in Nix, with the environment it was made in.
#[derive(Clone, Copy)]
pub struct Lambda<'a> {
    /// What to do.
    pub(crate) code: &'a LambdaCode<'a>,
    /// Where its free variables are.
    pub(crate) level: &'a Level<'a>,
}

/// A function with its first arguments.
#[derive(Clone, Copy)]
pub struct PartialApplication<'a> {
    /// The function.
    pub(crate) function: Value<'a>,
    /// The arguments it has already; none of them is an inner variant.
    pub(crate) args: &'a [Value<'a>],
}

/// What a whole mapped list or set has in common; its elements are [`Value::Mapped`] with a number each.
pub struct Mapped<'a> {
    /// The function.
    pub(crate) function: Value<'a>,
    /// It has been called.
    pub(crate) called: Cell<bool>,
    /// What it is applied to.
    pub(crate) over: MappedOver<'a>,
}

/// What a mapped element's function is applied to.
pub(crate) enum MappedOver<'a> {
    /// `genList`: the number itself.
    Indices,
    /// `map`, `concatMap`: the element of that number.
    Items(&'a [Slot<'a>]),
    /// `mapAttrs`: the name and the value of the attribute of that number.
    Attrs(&'a [Attr<'a>]),
}

impl<'a> Value<'a> {
    /// A value that can be copied and passed on: what must stay in a cell gets one.
    #[inline]
    pub(crate) fn boxed(self, arena: &'a Bump) -> Value<'a> {
        match self {
            Value::Delayed(..) | Value::Mapped(..) | Value::Application(_) | Value::Failed(_) => {
                Value::Thunk(arena.alloc(Slot::new(self)))
            }
            value => value,
        }
    }

    /// A list of `items`.
    pub fn list(arena: &'a Bump, items: &'a [Slot<'a>]) -> Value<'a> {
        Value::List(arena.alloc(List { items }))
    }

    /// A string without context, copied into the arena.
    pub fn string(arena: &'a Bump, bytes: &[u8]) -> Value<'a> {
        Value::String(arena.alloc(NixString::plain(arena.alloc_slice_copy(bytes))))
    }

    /// A string of bytes that are in the arena.
    pub fn string_in(
        arena: &'a Bump,
        bytes: &'a [u8],
        context: Option<&'a Context<'a>>,
    ) -> Value<'a> {
        Value::String(arena.alloc(NixString { bytes, context }))
    }

    /// A path of bytes that are in the arena: absolute and normalised.
    pub fn path_in(arena: &'a Bump, bytes: &'a [u8]) -> Value<'a> {
        Value::Path(arena.alloc(NixPath { bytes }))
    }
}
