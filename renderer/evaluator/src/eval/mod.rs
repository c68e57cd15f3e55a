//! Evaluation: from resolved expressions to values.

pub(crate) mod call;
mod coerce;
mod compare;
mod construct;
mod deep;
mod delay;
mod force;
mod interactive;
mod load;
mod operators;
mod pattern;
mod ready;
mod select;
mod top_level;

use bumpalo::Bump;
use rustc_hash::FxHashMap;

use crate::builtins::{Builtin, BuiltinFn, GetFlake};
use crate::context::Contexts;
use crate::env::{Env, LevelId, Levels};
use crate::error::{ErrorKind, EvalError};
use crate::expr::Expr;
use crate::io::EvalIo;
use crate::limits::Watch;
use crate::position::{PosIdx, Positions};
use crate::settings::Settings;
use crate::shape::Shapes;
use crate::symbol::{Symbol, Symbols};
use crate::value::{Mapped, MappedId, MappedItem, Slot, Value};
use crate::well_known::WellKnown;

pub use coerce::Coercion;
pub use top_level::{BuiltBy, FoundDerivation, ReferredPath};

/// A result of evaluating.
pub type Result<T> = std::result::Result<T, Box<EvalError>>;

/// Native stack that one evaluation may use; only what is touched becomes memory.
const STACK_SIZE: usize = 1 << 30;
/// What must be left of it for leaf work.
const STACK_RESERVE: usize = 256 * 1024;

/// One evaluation: everything it has read, made and knows. Values live in the arena and end with it.
pub struct Evaluator<'a> {
    pub(crate) arena: &'a Bump,
    pub(crate) symbols: Symbols<'a>,
    pub(crate) positions: Positions<'a>,
    pub(crate) contexts: Contexts<'a>,
    pub(crate) io: &'a dyn EvalIo,
    pub(crate) settings: Settings,
    pub(crate) names: WellKnown,
    pub(crate) shapes: Shapes<'a>,
    /// Expressions by [`crate::expr::ThunkId`].
    thunks: Vec<&'a Expr<'a>>,
    /// The variables that every file sees.
    globals: FxHashMap<Symbol, &'a Slot<'a>>,
    /// The variables of all scopes.
    pub(crate) levels: Levels<'a>,
    /// What is mapped, by [`MappedId`].
    mapped: Vec<&'a Mapped<'a>>,
    /// Values of files that were imported, by their own paths and by those that led to them.
    pub(crate) imported: FxHashMap<Vec<u8>, &'a Slot<'a>>,
    pub(crate) store: crate::store::StoreState<'a>,
    pub(crate) regexes: crate::regex::RegexCache,
    /// See [`Evaluator::set_get_flake`].
    pub(crate) get_flake: Option<&'a GetFlake<'a>>,
    /// Errors that made values fail, by [`Failure::id`], once they are caught.
    failures: Vec<Option<Box<EvalError>>>,
    pub(crate) call_depth: u32,
    pub(crate) watch: Watch<'a>,
    /// Where strings are put together, unless one is being put together already.
    text: Vec<u8>,
    /// Native addresses below this one are out of bounds.
    stack_limit: usize,
}

impl<'a> Evaluator<'a> {
    /// An evaluation that makes its values in `arena` and sees the world through `io`.
    pub fn new(arena: &'a Bump, io: &'a dyn EvalIo, settings: Settings) -> Self {
        let mut symbols = Symbols::new(arena);
        let names = WellKnown::new(&mut symbols);
        let watch = Watch::new(&settings);
        let mut evaluator = Self {
            arena,
            symbols,
            positions: Positions::new(io),
            contexts: Contexts::new(arena),
            io,
            settings,
            names,
            shapes: Shapes::default(),
            thunks: Vec::with_capacity(4096),
            globals: FxHashMap::default(),
            levels: Levels::new(arena),
            mapped: Vec::new(),
            imported: FxHashMap::default(),
            store: crate::store::StoreState::default(),
            regexes: crate::regex::RegexCache::default(),
            get_flake: None,
            failures: Vec::new(),
            call_depth: 0,
            watch,
            text: Vec::new(),
            stack_limit: 0,
        };
        crate::builtins::install(&mut evaluator);
        evaluator
    }

    /// The arena that values live in.
    pub fn arena(&self) -> &'a Bump {
        self.arena
    }

    /// Source texts and places in them.
    pub fn positions(&self) -> &Positions<'a> {
        &self.positions
    }

    /// The names known so far.
    pub fn symbols(&mut self) -> &mut Symbols<'a> {
        &mut self.symbols
    }

    /// The evaluation sees where something lies: see [`EvalIo::observed`].
    pub fn observe(&self, path: &[u8]) {
        self.io.observed(path);
    }

    /// A path as messages name it: see [`EvalIo::shown_path`].
    pub fn shown_path(&self, path: &[u8]) -> String {
        self.io.shown_path(path)
    }

    /// Whether something records what the evaluation sees.
    pub fn is_observed(&self) -> bool {
        self.io.is_observed()
    }

    /// A builtin function of the embedding program's, as a variable that every file compiled from now on sees. It gets
    /// `arity` arguments, which may still have to be forced; `Evaluator`'s `expect_…` force and check them.
    pub fn define_builtin(&mut self, name: &str, arity: u32, function: BuiltinFn<'a>) {
        let name = self.arena.alloc_str(name);
        let builtin = self.arena.alloc(Builtin {
            name,
            arity,
            function,
        });
        self.define_global(name, Value::Builtin(builtin));
    }

    /// A variable that every file compiled from now on sees.
    pub fn define_global(&mut self, name: &str, value: Value<'a>) {
        let symbol = self.symbols.intern(name.as_bytes());
        let slot = self.arena.alloc(Slot::new(value));
        self.globals.insert(symbol, slot);
    }

    /// This scope as one that can be kept.
    #[inline]
    pub(crate) fn capture(&mut self, env: &Env<'_, 'a>) -> LevelId {
        env.capture(&mut self.levels, self.arena)
    }

    /// Opens a level: see [`Levels::open`].
    #[inline]
    pub(crate) fn open_level(&mut self, up: LevelId, count: usize) -> (LevelId, &'a [Slot<'a>]) {
        self.levels.open(self.arena, up, count)
    }

    /// A number for what is mapped.
    pub(crate) fn mapped(&mut self, mapped: Mapped<'a>) -> MappedId {
        let id = MappedId(self.mapped.len() as u32);
        self.mapped.push(self.arena.alloc(mapped));
        id
    }

    /// What an element of something mapped is an element of.
    pub(crate) fn mapped_of(&self, item: MappedItem) -> &'a Mapped<'a> {
        self.mapped[item.mapped().0 as usize]
    }

    /// Runs `work` on a stack that is large enough for deep evaluation. Every public entry goes through here; who makes many
    /// is faster when all of them are in one such `work`, for then there is one stack.
    pub fn on_stack<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        if self.stack_limit != 0 {
            let depth = self.call_depth;
            let result = work(self);
            self.call_depth = depth;
            return result;
        }
        stacker::grow(STACK_SIZE, || {
            self.stack_limit = stack_address() - STACK_SIZE + STACK_RESERVE;
            let result = work(self);
            self.stack_limit = 0;
            self.call_depth = 0;
            result
        })
    }

    /// Nothing may be nested deeper than calls.
    pub(crate) fn check_depth(&self, depth: usize) -> Result<()> {
        if depth > self.settings.max_call_depth as usize {
            return Err(call_depth_exceeded());
        }
        self.check_stack()
    }

    #[inline]
    fn check_stack(&self) -> Result<()> {
        if stack_address() < self.stack_limit {
            return Err(stack_overflow());
        }
        Ok(())
    }

    /// A value up to its outermost constructor.
    #[expect(
        clippy::inline_always,
        reason = "it is small, and nothing is called as often"
    )]
    #[inline(always)]
    pub(crate) fn eval(&mut self, expr: &'a Expr<'a>, env: &Env<'_, 'a>) -> Result<Value<'a>> {
        match expr {
            Expr::Constant(value) => Ok(*value),
            Expr::Variable { depth, index, .. } => {
                let value = env.slot(&self.levels, *depth, *index).get();
                if value.is_whnf() {
                    return Ok(value);
                }
                self.eval_variable(*depth, *index, expr.position(), env)
            }
            _ => self.eval_compound(expr, env),
        }
    }

    #[inline(never)]
    fn eval_variable(
        &mut self,
        depth: u32,
        index: u32,
        position: PosIdx,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let slot = env.slot(&self.levels, depth, index);
        let value = match slot.get() {
            Value::Thunk(inner) => self.force_slot(inner, position)?,
            _ => return self.force_slot(env.arena_slot(&self.levels, depth, index), position),
        };
        slot.set(value);
        Ok(value)
    }

    /// What is neither a literal nor a variable that is there. Each kind of expression has a function of its own, called
    /// last: so this one needs no room on the stack, and they only what they use.
    #[inline(never)]
    fn eval_compound(&mut self, expr: &'a Expr<'a>, env: &Env<'_, 'a>) -> Result<Value<'a>> {
        match expr {
            Expr::Constant(_) | Expr::Variable { .. } => self.eval_leaf(expr, env),
            Expr::Call { .. } => self.eval_call(expr, env),
            Expr::Select { .. } => self.eval_select(expr, env),
            Expr::If { .. } | Expr::Assert { .. } | Expr::Let(_) | Expr::With { .. } => {
                self.eval_body(expr, env)
            }
            Expr::Binary { .. } => self.eval_binary(expr, env),
            Expr::Lambda(code) => self.eval_lambda(code, env),
            Expr::Attrs(code) => self.eval_attrs(code, env),
            Expr::List { items } => self.eval_list(items, env),
            Expr::WithVariable(variable) => self.eval_with_variable(variable, env),
            Expr::SelectPath(select) => self.eval_select_path(select, env),
            Expr::HasAttr { base, path } => self.eval_has_attr(base, path, env),
            Expr::Concat { .. } => self.eval_concat(expr, env),
            Expr::Not { operand, .. } => self.eval_not(operand, env),
            Expr::Negate { operand, position } => self.eval_negate(operand, *position, env),
            Expr::Global(slot) => self.eval_global(slot),
            Expr::CurPos { position } => self.position_value(*position),
        }
    }

    #[inline(never)]
    fn eval_leaf(&mut self, expr: &'a Expr<'a>, env: &Env<'_, 'a>) -> Result<Value<'a>> {
        self.eval(expr, env)
    }

    #[inline(never)]
    fn eval_global(&mut self, slot: &'a Slot<'a>) -> Result<Value<'a>> {
        self.force_slot(slot, PosIdx::NONE)
    }

    /// What has others in tail position: those are evaluated in turn, not one inside the other.
    #[inline(never)]
    fn eval_body(&mut self, mut expr: &'a Expr<'a>, env: &Env<'_, 'a>) -> Result<Value<'a>> {
        self.check_stack()?;
        loop {
            match expr {
                Expr::If {
                    condition,
                    then,
                    otherwise,
                    position,
                } => {
                    let what = "while evaluating a branch condition";
                    let holds = match self.ready_comparison(condition, env) {
                        Some(holds) => holds,
                        None => self.eval_bool(condition, env, *position, what)?,
                    };
                    expr = if holds { then } else { otherwise };
                }
                Expr::Assert {
                    condition,
                    body,
                    position,
                } => {
                    let what = "in the condition of the assert statement";
                    if !self.eval_bool(condition, env, *position, what)? {
                        return Err(self.assertion_failed(condition, *position, env));
                    }
                    expr = body;
                }
                Expr::Let(code) => {
                    let Some(first) = code.merged_at else {
                        let inner = self.open_let(code, env);
                        return self.eval(code.body, &inner);
                    };
                    self.fill_own_level(code, env, first);
                    expr = code.body;
                }
                Expr::With { scope, body, .. } => {
                    let inner = self.open_with(scope, env);
                    return self.eval(body, &inner);
                }
                _ => return self.eval(expr, env),
            }
        }
    }

    #[inline(never)]
    fn eval_not(&mut self, operand: &'a Expr<'a>, env: &Env<'_, 'a>) -> Result<Value<'a>> {
        self.check_stack()?;
        let what = "in the argument of the not operator";
        let value = self.eval_bool(operand, env, operand.position(), what)?;
        Ok(Value::from(!value))
    }

    /// A Boolean operand. Errors tell `position`.
    #[inline]
    pub(crate) fn eval_bool(
        &mut self,
        expr: &'a Expr<'a>,
        env: &Env<'_, 'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<bool> {
        match self.eval(expr, env) {
            Ok(Value::Bool(value)) => Ok(value.into()),
            other => Err(self.not_a_boolean(other, position, what)),
        }
    }

    #[cold]
    fn not_a_boolean(
        &mut self,
        result: Result<Value<'a>>,
        position: PosIdx,
        what: &'static str,
    ) -> Box<EvalError> {
        match result {
            Ok(value) => self.type_error("a Boolean", value).at(position),
            Err(error) => error,
        }
        .trace(position, what)
    }
}

/// Roughly where the native stack ends now.
#[inline]
fn stack_address() -> usize {
    let here = std::mem::MaybeUninit::<u8>::uninit();
    std::ptr::from_ref(&here).addr()
}

pub(crate) fn call_depth_exceeded() -> Box<EvalError> {
    EvalError::new(
        ErrorKind::StackOverflow,
        "stack overflow; max-call-depth exceeded",
    )
}

#[cold]
fn stack_overflow() -> Box<EvalError> {
    EvalError::new(
        ErrorKind::StackOverflow,
        "stack overflow (possible infinite recursion)",
    )
}
