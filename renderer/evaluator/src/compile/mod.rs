//! From the syntax tree to the resolved one.

mod laziness;
mod levels;
mod names;
mod paths;

use std::cell::Cell;

use bumpalo::Bump;
use rustc_hash::FxHashMap;

use crate::ast::{Ast, AttrName, AttrPath, BinaryOp, Name, Node, NodeId};
use crate::error::EvalError;
use crate::expr::{Expr, Op, SelectPath, Step};
use crate::position::{PosIdx, Positions};
use crate::symbol::{Symbol, Symbols};
use crate::value::{NixString, Slot, Value};
use names::Scopes;

/// Makes expressions of a file's syntax tree.
pub(crate) struct Compiler<'a, 'c> {
    input: Input<'a, 'c>,
    /// Symbols of the file's names, by [`Name`].
    symbols: Vec<Symbol>,
    /// Variables of the level around the file, by slot.
    scoped: Vec<Symbol>,
    /// The file has a variable called as a builtin that an operator calls.
    shadows_operators: bool,
    scopes: Scopes,
    /// The function being compiled makes something that keeps its level.
    captures: bool,
}

/// What a file is compiled from, and where it goes to.
pub(crate) struct Input<'a, 'c> {
    pub arena: &'a Bump,
    pub ast: &'c Ast,
    /// What [`Positions::at`] needs.
    pub base: u32,
    /// Relative path literals start here.
    pub directory: &'c [u8],
    /// `~/` paths start here; `None`: they are refused.
    pub home: Option<&'c [u8]>,
    pub thunks: &'c mut Vec<&'a Expr<'a>>,
    pub globals: &'c FxHashMap<Symbol, &'a Slot<'a>>,
    pub known: WellKnown,
    /// See [`crate::Settings::delay_all`].
    pub delay_all: bool,
}

/// Symbols that mean something to the compiler.
#[derive(Clone, Copy)]
pub(crate) struct WellKnown {
    pub overrides: Symbol,
    pub find_file: Symbol,
    pub nix_path: Symbol,
    pub sub: Symbol,
    pub mul: Symbol,
    pub div: Symbol,
    pub less_than: Symbol,
}

impl WellKnown {
    /// The name of a builtin that an operator calls.
    fn is_operator(&self, name: Symbol) -> bool {
        [self.sub, self.mul, self.div, self.less_than].contains(&name)
    }
}

type Result<T> = std::result::Result<T, Box<EvalError>>;

impl<'a, 'c> Compiler<'a, 'c> {
    pub(crate) fn new(input: Input<'a, 'c>, symbols: &mut Symbols<'a>) -> Self {
        let symbols: Vec<_> = input
            .ast
            .names
            .iter()
            .map(|&text| symbols.intern(input.ast.text(text)))
            .collect();
        let known = input.known;
        Self {
            shadows_operators: symbols.iter().any(|&name| known.is_operator(name)),
            scoped: Vec::new(),
            symbols,
            scopes: Scopes {
                meanings: vec![Vec::new(); input.ast.names.len()],
                ..Scopes::default()
            },
            captures: false,
            input,
        }
    }

    /// Opens a level whose slots are `names`, before [`Compiler::file`]: what `scopedImport` and a session bring.
    pub(crate) fn open_scope(&mut self, names: &[Symbol]) {
        self.scoped = names.to_vec();
        self.shadows_operators |= names.iter().any(|&name| self.input.known.is_operator(name));
        let slots: Vec<_> = self
            .symbols
            .iter()
            .enumerate()
            .filter_map(|(name, symbol)| {
                let slot = names.iter().position(|other| other == symbol)?;
                Some((Name(name as u32), slot as u32))
            })
            .collect();
        self.open(slots.into_iter());
    }

    /// The whole file.
    pub(crate) fn file(&mut self) -> Result<&'a Expr<'a>> {
        let root = self
            .input
            .ast
            .root
            .expect("the parser gives every tree a root");
        let expr = self.expr(root)?;
        Ok(self.input.arena.alloc(expr))
    }

    fn symbol(&self, name: Name) -> Symbol {
        self.symbols[name.0 as usize]
    }

    fn at(&self, offset: u32) -> PosIdx {
        Positions::at(self.input.base, offset)
    }

    fn position(&self, id: NodeId) -> PosIdx {
        self.at(self.input.ast.position(id))
    }

    fn start(&self, id: NodeId) -> PosIdx {
        self.at(self.input.ast.start(id))
    }

    fn alloc(&mut self, id: NodeId) -> Result<&'a Expr<'a>> {
        let expr = self.expr(id)?;
        Ok(self.input.arena.alloc(expr))
    }

    fn expr(&mut self, id: NodeId) -> Result<Expr<'a>> {
        stacker::maybe_grow(64 * 1024, 4 * 1024 * 1024, || self.expr_here(id))
    }

    fn expr_here(&mut self, id: NodeId) -> Result<Expr<'a>> {
        let position = self.position(id);
        let ast = self.input.ast;
        Ok(match ast.node(id) {
            Node::Int(value) => Expr::Constant(Value::Int(value)),
            Node::Float(value) => Expr::Constant(Value::from(value)),
            Node::String(text) => Expr::Constant(self.string(ast.text(text))),
            Node::Interpolation(parts) => Expr::Concat {
                parts: self.parts(ast.children(parts))?,
                position,
                path: false,
            },
            Node::Path(text) => Expr::Constant(self.path(ast.text(text), position)?),
            Node::PathInterpolation(parts) => {
                self.path_interpolation(ast.children(parts), position)?
            }
            Node::SearchPath(text) => self.search_path(ast.text(text), position)?,
            Node::Var(name) => self.variable(name, position)?,
            Node::CurPos => Expr::CurPos { position },
            Node::Select {
                base,
                path,
                default,
            } => self.select(base, path, default, position)?,
            Node::HasAttr { base, path } => Expr::HasAttr {
                base: self.alloc(base)?,
                path: self.path_steps(path)?,
            },
            Node::Apply { function, args } => Expr::Call {
                function: self.alloc(function)?,
                args: self.lazies(ast.children(args))?,
                position,
            },
            Node::Lambda { .. } | Node::PatternLambda { .. } => self.lambda(id)?,
            Node::Let { bindings, body } => {
                self.captures = true;
                let bindings = ast.bindings(bindings);
                self.let_in(bindings, body)?
            }
            Node::Attrs(bindings) => self.attrs(ast.bindings(bindings), position)?,
            Node::List(items) => Expr::List {
                items: self.lazies(ast.children(items))?,
            },
            Node::If {
                condition,
                then,
                otherwise,
            } => Expr::If {
                condition: self.alloc(condition)?,
                then: self.alloc(then)?,
                otherwise: self.alloc(otherwise)?,
                position,
            },
            Node::Assert { condition, body } => Expr::Assert {
                condition: self.alloc(condition)?,
                body: self.alloc(body)?,
                position,
            },
            Node::With { scope, body } => {
                self.captures = true;
                let scope = self.lazy(scope)?;
                self.scopes.level += 1;
                self.scopes.withs.push((self.scopes.level, position));
                let body = self.alloc(body);
                self.scopes.withs.pop();
                self.scopes.level -= 1;
                Expr::With {
                    scope: self.input.arena.alloc(scope),
                    body: body?,
                    position,
                }
            }
            Node::Binary { op, left, right } => self.binary(op, left, right, position)?,
            Node::Not(operand) => Expr::Not {
                operand: self.alloc(operand)?,
                position,
            },
            Node::Negate(operand) => self.negate(operand, position)?,
        })
    }

    fn binary(
        &mut self,
        op: BinaryOp,
        left: NodeId,
        right: NodeId,
        position: PosIdx,
    ) -> Result<Expr<'a>> {
        if let Some(function) = self.shadowed_operator(op) {
            return self.shadowed_call(op, function, left, right, position);
        }
        let starts = [self.start(left), self.start(right)];
        let (left, right) = if is_reversed(op) {
            let right = self.alloc(right)?;
            (self.alloc(left)?, right)
        } else {
            (self.alloc(left)?, self.alloc(right)?)
        };
        Ok(Expr::Binary {
            op: op_of(op),
            left,
            right,
            position,
            starts,
        })
    }

    fn string(&self, bytes: &[u8]) -> Value<'a> {
        let bytes = self.input.arena.alloc_slice_copy(bytes);
        Value::String(self.input.arena.alloc(NixString::plain(bytes)))
    }

    /// A number at once; anything else is `__sub 0 e` with whatever `__sub` means here.
    fn negate(&mut self, operand: NodeId, position: PosIdx) -> Result<Expr<'a>> {
        let shadowed = self.shadowed_operator(BinaryOp::Sub).is_some();
        let operand = self.alloc(operand)?;
        if shadowed {
            let function = self.variable_of_symbol(self.input.known.sub, position)?;
            let function = self.input.arena.alloc(function);
            let zero: &'a Expr<'a> = self.input.arena.alloc(Expr::Constant(Value::Int(0)));
            let args = [self.delayable(zero), self.delayable(operand)];
            return Ok(Expr::Call {
                function,
                args: self.input.arena.alloc_slice_copy(&args),
                position,
            });
        }
        Ok(match operand {
            _ if self.input.delay_all => Expr::Negate { operand, position },
            Expr::Constant(Value::Int(value)) if *value != i64::MIN => {
                Expr::Constant(Value::Int(-value))
            }
            Expr::Constant(Value::Float(value)) => {
                Expr::Constant(Value::from(0.0 - f64::from(*value)))
            }
            _ => Expr::Negate { operand, position },
        })
    }

    /// What an operator calls, where a variable of the file stands in the way of the builtin.
    fn shadowed_operator(&self, op: BinaryOp) -> Option<Symbol> {
        if !self.shadows_operators {
            return None;
        }
        let function = match op {
            BinaryOp::Sub => self.input.known.sub,
            BinaryOp::Mul => self.input.known.mul,
            BinaryOp::Div => self.input.known.div,
            BinaryOp::Less | BinaryOp::LessEq | BinaryOp::Greater | BinaryOp::GreaterEq => {
                self.input.known.less_than
            }
            _ => return None,
        };
        let name = self.symbols.iter().position(|&symbol| symbol == function);
        let shadowed = name.is_some_and(|name| !self.scopes.meanings[name].is_empty())
            || self.scoped.contains(&function);
        shadowed.then_some(function)
    }

    /// `a - b` as `__sub a b`, `a <= b` as `!(__lessThan b a)`, with whatever these names mean here.
    fn shadowed_call(
        &mut self,
        op: BinaryOp,
        function: Symbol,
        left: NodeId,
        right: NodeId,
        position: PosIdx,
    ) -> Result<Expr<'a>> {
        let function = self.variable_of_symbol(function, position)?;
        let function = self.input.arena.alloc(function);
        let [first, second] = if is_reversed(op) {
            [right, left]
        } else {
            [left, right]
        };
        let args = [self.lazy(first)?, self.lazy(second)?];
        let call = Expr::Call {
            function,
            args: self.input.arena.alloc_slice_copy(&args),
            position,
        };
        Ok(match op {
            BinaryOp::LessEq | BinaryOp::GreaterEq => Expr::Not {
                operand: self.input.arena.alloc(call),
                position,
            },
            _ => call,
        })
    }

    fn parts(&mut self, ids: &[NodeId]) -> Result<&'a [(&'a Expr<'a>, PosIdx)]> {
        let mut parts = Vec::with_capacity(ids.len());
        for &id in ids {
            parts.push((self.alloc(id)?, self.start(id)));
        }
        Ok(self.input.arena.alloc_slice_copy(&parts))
    }

    fn path_steps(&mut self, path: AttrPath) -> Result<&'a [Step<'a>]> {
        let mut steps = Vec::with_capacity(path.len as usize);
        for &name in self.input.ast.attr_path(path) {
            steps.push(match name {
                AttrName::Static(name) => {
                    Step::Static(self.symbol(name), self.input.arena.alloc(Cell::new(0)))
                }
                AttrName::Dynamic(id) => Step::Dynamic(self.alloc(id)?),
            });
        }
        Ok(self.input.arena.alloc_slice_copy(&steps))
    }

    fn select(
        &mut self,
        base: NodeId,
        path: AttrPath,
        default: Option<NodeId>,
        position: PosIdx,
    ) -> Result<Expr<'a>> {
        let base = self.alloc(base)?;
        if let (&[AttrName::Static(name)], None) = (self.input.ast.attr_path(path), default) {
            return Ok(select_symbol(base, self.symbol(name), position));
        }
        let path = self.path_steps(path)?;
        let default = default.map(|id| self.alloc(id)).transpose()?;
        Ok(Expr::SelectPath(self.input.arena.alloc(SelectPath {
            base,
            path,
            default,
            position,
        })))
    }
}

fn select_symbol<'a>(base: &'a Expr<'a>, name: Symbol, position: PosIdx) -> Expr<'a> {
    Expr::Select {
        base,
        name,
        position,
        hint: Cell::new(0),
    }
}

/// `a > b` is `b < a`, and `a <= b` is `!(b < a)`: what is wrong with `b` is reported first.
fn is_reversed(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Greater | BinaryOp::LessEq)
}

fn op_of(op: BinaryOp) -> Op {
    match op {
        BinaryOp::Add => Op::Add,
        BinaryOp::Sub => Op::Sub,
        BinaryOp::Mul => Op::Mul,
        BinaryOp::Div => Op::Div,
        BinaryOp::Concat => Op::Concat,
        BinaryOp::Update => Op::Update,
        BinaryOp::Eq => Op::Eq,
        BinaryOp::NotEq => Op::NotEq,
        BinaryOp::Less => Op::Less,
        BinaryOp::LessEq => Op::LessEq,
        BinaryOp::Greater => Op::Greater,
        BinaryOp::GreaterEq => Op::GreaterEq,
        BinaryOp::And => Op::And,
        BinaryOp::Or => Op::Or,
        BinaryOp::Implies => Op::Implies,
    }
}
