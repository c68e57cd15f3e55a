//! The resolved tree: what the compiler makes of an [`crate::ast::Ast`] and the evaluator runs.
//!
//! Variables are (levels out, place), names are symbols, literals are values. Nothing is looked up by name while
//! evaluating, except what `with` brings.

use std::cell::Cell;

use crate::position::PosIdx;
use crate::shape::Shape;
use crate::symbol::Symbol;
use crate::value::{Slot, Value};

/// Number of an expression that can be delayed: index into the evaluator's table. Half as large as a pointer, so that a
/// delayed expression and its environment fit a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThunkId(pub(crate) u32);

/// An expression in a place where Nix makes a thunk.
#[derive(Clone, Copy)]
pub(crate) struct Lazy<'a> {
    pub expr: &'a Expr<'a>,
    pub id: ThunkId,
    pub kind: LazyKind,
}

/// Whether a thunk is needed at all: laziness must not be seen to differ, so only what can neither fail nor take long
/// is done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LazyKind {
    /// A literal.
    Constant,
    /// A variable: its cell is shared.
    Variable,
    /// Makes its value from delayed parts: a function, a short list, a small set.
    Constructor,
    /// Arithmetic or comparison, tried on operands that are there.
    Arithmetic,
    /// `a.b`, tried on a set that is there.
    Select,
    /// A variable that a `with` may bring, tried on a set that is there.
    WithVariable,
    /// Anything else.
    Thunk,
}

/// One resolved expression.
pub(crate) enum Expr<'a> {
    /// A value.
    Constant(Value<'a>),
    /// A variable of the base environment.
    Global(&'a Slot<'a>),
    /// A variable, `depth` levels out.
    Variable {
        depth: u32,
        index: u32,
        position: PosIdx,
    },
    /// A variable that only a `with` can bring.
    WithVariable(&'a WithVariable<'a>),
    /// `base.name`
    Select {
        base: &'a Expr<'a>,
        name: Symbol,
        position: PosIdx,
        hint: Cell<u32>,
    },
    /// Every other select.
    SelectPath(&'a SelectPath<'a>),
    /// `base ? path`
    HasAttr {
        base: &'a Expr<'a>,
        path: &'a [Step<'a>],
    },
    /// `f a b`
    Call {
        function: &'a Expr<'a>,
        args: &'a [Lazy<'a>],
        position: PosIdx,
    },
    /// A function.
    Lambda(&'a LambdaCode<'a>),
    /// `let`
    Let(&'a LetCode<'a>),
    /// `{ … }`
    Attrs(&'a AttrsCode<'a>),
    /// `[ … ]`
    List { items: &'a [Lazy<'a>] },
    /// `if`
    If {
        condition: &'a Expr<'a>,
        then: &'a Expr<'a>,
        otherwise: &'a Expr<'a>,
        position: PosIdx,
    },
    /// `assert`
    Assert {
        condition: &'a Expr<'a>,
        body: &'a Expr<'a>,
        position: PosIdx,
    },
    /// `with`
    With {
        scope: LazyRef<'a>,
        body: &'a Expr<'a>,
        position: PosIdx,
    },
    /// Two operands.
    Binary {
        op: Op,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
        position: PosIdx,
        /// Where the operands start.
        starts: [PosIdx; 2],
    },
    /// `!e`
    Not {
        operand: &'a Expr<'a>,
        position: PosIdx,
    },
    /// `-e`
    Negate {
        operand: &'a Expr<'a>,
        position: PosIdx,
    },
    /// `"a${b}"`, and paths with interpolation: the parts and where they start.
    Concat {
        parts: &'a [(&'a Expr<'a>, PosIdx)],
        position: PosIdx,
        path: bool,
    },
    /// `__curPos`
    CurPos { position: PosIdx },
}

/// A delayed expression behind a pointer, to keep [`Expr`] small.
pub(crate) type LazyRef<'a> = &'a Lazy<'a>;

/// [`crate::ast::BinaryOp`] as evaluated: `a > b` is `b < a` with its operands in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Concat,
    Update,
    Eq,
    NotEq,
    Less,
    LessEq,
    Greater,
    GreaterEq,
    And,
    Or,
    Implies,
}

impl Op {
    /// Compares two values.
    #[inline]
    pub(crate) fn compares(self) -> bool {
        matches!(
            self,
            Op::Eq | Op::NotEq | Op::Less | Op::LessEq | Op::Greater | Op::GreaterEq
        )
    }

    /// What a comparison of two numbers says.
    #[inline]
    pub(crate) fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Op::Less => left < right,
            Op::LessEq => left <= right,
            Op::Greater => left > right,
            Op::GreaterEq => left >= right,
            Op::Eq => left == right,
            _ => left != right,
        }
    }
}

/// See [`Expr::WithVariable`].
pub(crate) struct WithVariable<'a> {
    pub name: Symbol,
    pub hint: Cell<u32>,
    pub position: PosIdx,
    /// How many levels out the `with`s are, and where they stand, innermost first. Slot 0 of such a level is the set.
    pub scopes: &'a [(u32, PosIdx)],
}

/// One step of an attribute path.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    /// A name, and where it was found the last time: see [`crate::attrs::Attrs::get_hinted`].
    Static(Symbol, &'a Cell<u32>),
    Dynamic(&'a Expr<'a>),
}

/// See [`Expr::SelectPath`].
pub(crate) struct SelectPath<'a> {
    pub base: &'a Expr<'a>,
    pub path: &'a [Step<'a>],
    pub default: Option<&'a Expr<'a>>,
    pub position: PosIdx,
}

/// A function. `a: b: c: body` is one function of three parameters; only the last can be a pattern, for matching one
/// can fail and must not wait for further arguments.
///
/// Its level holds the parameters (for a pattern: the name after `@`, if any, then its formals), then the variables of
/// a `let` that is its body.
pub(crate) struct LambdaCode<'a> {
    /// What it was bound to, for messages.
    pub(crate) name: Cell<Option<Symbol>>,
    /// Where each parameter stands.
    pub(crate) positions: &'a [PosIdx],
    /// Simple parameters' names; the last one is absent where there is a pattern.
    pub(crate) params: &'a [Symbol],
    pub(crate) pattern: Option<PatternCode<'a>>,
    /// Slots of the level.
    pub(crate) slots: u32,
    pub(crate) body: &'a Expr<'a>,
    /// The level starts on the native stack: it is small, and nothing in the body is sure to keep it.
    pub(crate) starts_on_stack: bool,
}

impl LambdaCode<'_> {
    /// Gives it a name, and to the function that it returns, if it does nothing else.
    pub(crate) fn set_name(&self, name: Symbol) {
        self.name.set(Some(name));
        if let Expr::Lambda(inner) = self.body {
            inner.set_name(name);
        }
    }

    /// How many arguments it takes at once.
    pub(crate) fn arity(&self) -> usize {
        self.positions.len()
    }
}

/// `{ a, b ? 1, ... }@args`
pub(crate) struct PatternCode<'a> {
    /// In the order of symbols; formal n is in the slot after the simple parameters, the `@` name, and n others.
    pub formals: &'a [FormalCode<'a>],
    pub ellipsis: bool,
    pub at: Option<Symbol>,
}

/// One name of a pattern.
pub(crate) struct FormalCode<'a> {
    pub name: Symbol,
    pub position: PosIdx,
    pub default: Option<Lazy<'a>>,
}

/// Where a binding's expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// In the set's own level, or where there is none, around it.
    Inner,
    /// Around it (`inherit x;`).
    Outer,
}

/// One static attribute or variable.
pub(crate) struct BindingCode<'a> {
    pub name: Symbol,
    pub position: PosIdx,
    pub scope: Scope,
    pub value: Lazy<'a>,
}

/// `let`: a level with the bindings' slots, then one slot for each `inherit (e)`.
pub(crate) struct LetCode<'a> {
    /// Slot n is binding n's.
    pub bindings: &'a [BindingCode<'a>],
    pub inherit_from: &'a [Lazy<'a>],
    pub body: &'a Expr<'a>,
    /// The bindings have slots of the enclosing function's level, from this one on.
    pub merged_at: Option<u32>,
}

/// A set. A recursive one is a level of its own, as [`LetCode`]'s; another one has a level only for its
/// `inherit (e)`s.
pub(crate) struct AttrsCode<'a> {
    pub position: PosIdx,
    pub recursive: bool,
    /// Sorted by symbol; for a recursive set binding n has slot n.
    pub bindings: &'a [BindingCode<'a>],
    /// Their names and positions.
    pub shape: &'a Shape<'a>,
    pub inherit_from: &'a [Lazy<'a>],
    pub dynamic: &'a [DynamicCode<'a>],
    /// Index of `__overrides` among the bindings of a recursive set.
    pub overrides: Option<u32>,
}

/// `${name} = value;`
pub(crate) struct DynamicCode<'a> {
    pub name: &'a Expr<'a>,
    pub position: PosIdx,
    pub value: Lazy<'a>,
}

impl Expr<'_> {
    /// The position that Nix reports for the expression.
    pub(crate) fn position(&self) -> PosIdx {
        match self {
            Expr::Variable { position, .. }
            | Expr::Select { position, .. }
            | Expr::Call { position, .. }
            | Expr::Assert { position, .. }
            | Expr::If { position, .. }
            | Expr::With { position, .. }
            | Expr::Not { position, .. }
            | Expr::Negate { position, .. }
            | Expr::Concat { position, .. }
            | Expr::CurPos { position } => *position,
            Expr::Binary { op, position, .. } => match op {
                // These have none in C++ Nix.
                Op::Eq | Op::NotEq => PosIdx::NONE,
                _ => *position,
            },
            Expr::WithVariable(variable) => variable.position,
            Expr::SelectPath(select) => select.position,
            Expr::HasAttr { base, .. } => base.position(),
            Expr::Lambda(code) => code.positions[0],
            Expr::Attrs(code) => code.position,
            Expr::List { items } => items
                .first()
                .map_or(PosIdx::NONE, |item| item.expr.position()),
            Expr::Constant(_) | Expr::Global(_) | Expr::Let(_) => PosIdx::NONE,
        }
    }
}
