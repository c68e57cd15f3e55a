//! Values, and the cells that hold them.

use std::cell::Cell;

use bumpalo::Bump;

use crate::attrs::{Attrs, Entries};
use crate::builtins::Builtin;
use crate::context::Context;
use crate::env::LevelId;
use crate::expr::{LambdaCode, ThunkId};

/// A Nix value. Everything behind it lives in the evaluation's arena.
///
/// It is two words, which variant and its payload: each payload is as wide as a pointer, so that a value travels in two
/// registers and is read from memory in the pieces that it was written in.
///
/// What an evaluation hands out is in weak head normal form: one of the variants up to [`Value::PartialApplication`].
/// The variants after that say how to make a value that is not there yet. All but [`Value::Thunk`] occur only
/// inside a [`Slot`], because a copy of them would compute twice what must be computed once.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(Bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(Float),
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
    Delayed(Delayed),
    /// An element of a mapped list, set or range.
    Mapped(MappedItem),
    /// A call to be made.
    Application(&'a PartialApplication<'a>),
    /// The value is being computed: an evaluation that finds this needs it for itself.
    Blackhole,
    /// Computing the value has failed, and would fail again.
    Failed(&'a Failure<'a>),
}

/// `true` or `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Bool {
    /// `false`
    False,
    /// `true`
    True,
}

impl From<bool> for Bool {
    #[inline]
    fn from(value: bool) -> Self {
        if value { Bool::True } else { Bool::False }
    }
}

impl From<Bool> for bool {
    #[inline]
    fn from(value: Bool) -> Self {
        value == Bool::True
    }
}

impl From<bool> for Value<'_> {
    #[inline]
    fn from(value: bool) -> Self {
        Value::Bool(value.into())
    }
}

/// A double, by its bits.
#[derive(Clone, Copy, Debug)]
pub struct Float(u64);

impl From<f64> for Float {
    #[inline]
    fn from(value: f64) -> Self {
        Self(value.to_bits())
    }
}

impl From<Float> for f64 {
    #[inline]
    fn from(value: Float) -> Self {
        f64::from_bits(value.0)
    }
}

impl From<f64> for Value<'_> {
    #[inline]
    fn from(value: f64) -> Self {
        Value::Float(value.into())
    }
}

/// An expression, and the level to evaluate it in.
#[derive(Clone, Copy)]
pub struct Delayed(u64);

impl Delayed {
    #[inline]
    pub(crate) fn new(thunk: ThunkId, level: LevelId) -> Self {
        Self(u64::from(thunk.0) << 32 | u64::from(level.0))
    }

    /// The expression.
    #[inline]
    pub(crate) fn thunk(self) -> ThunkId {
        ThunkId((self.0 >> 32) as u32)
    }

    /// The level.
    #[inline]
    pub(crate) fn level(self) -> LevelId {
        LevelId(self.0 as u32)
    }
}

/// One element of what is mapped.
#[derive(Clone, Copy)]
pub struct MappedItem(u64);

impl MappedItem {
    #[inline]
    pub(crate) fn new(mapped: MappedId, index: usize) -> Self {
        Self(u64::from(mapped.0) << 32 | index as u64)
    }

    /// What it is an element of.
    #[inline]
    pub(crate) fn mapped(self) -> MappedId {
        MappedId((self.0 >> 32) as u32)
    }

    /// Its number.
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as u32 as usize
    }
}

/// Number of a [`Mapped`]: index into the evaluator's table.
#[derive(Clone, Copy)]
pub(crate) struct MappedId(pub(crate) u32);

/// What is left of a value whose computation failed.
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    /// Number of the failure: all that it made fail share it.
    pub(crate) id: u32,
    /// What there was to compute, for where the error was not kept.
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
    pub(crate) level: LevelId,
}

/// A function with its first arguments.
#[derive(Clone, Copy)]
pub struct PartialApplication<'a> {
    /// The function.
    pub(crate) function: Value<'a>,
    /// The arguments it has already; none of them is an inner variant.
    pub(crate) args: &'a [Value<'a>],
}

/// What a whole mapped list or set has in common.
pub(crate) struct Mapped<'a> {
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
    Attrs(Entries<'a>),
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
