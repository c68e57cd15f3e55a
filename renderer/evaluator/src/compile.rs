//! From the syntax tree to the resolved one.

use bumpalo::Bump;
use rustc_hash::FxHashMap;

use crate::ast::{
    Ast, AttrName, AttrPath, BinaryOp, BindingValue, Bindings, Name, Node, NodeId, PatternId,
};
use crate::error::{ErrorKind, EvalError};
use crate::eval::call::MOST_ON_STACK;
use crate::expr::{
    AttrsCode, BindingCode, DynamicCode, Expr, FormalCode, LambdaCode, Lazy, LazyKind, LetCode, Op,
    PatternCode, Scope, SelectPath, Step, ThunkId, WithVariable,
};
use crate::path::literal_path;
use crate::position::{PosIdx, Positions};
use crate::symbol::{Symbol, Symbols};
use crate::value::{NixString, Slot, Value};

/// Largest list or set that is built at once instead of being delayed.
const LARGEST_CONSTRUCTOR: usize = 16;
/// Deepest arithmetic that is tried at once.
const DEEPEST_ARITHMETIC: u32 = 4;

/// What the compiler needs to know of and may add to.
pub(crate) struct Compiler<'a, 'c> {
    pub arena: &'a Bump,
    pub ast: &'c Ast,
    /// Symbols of the file's names, by [`Name`].
    pub symbols: Vec<Symbol>,
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
    /// Variables of the level around the file, by slot.
    scoped: Vec<Symbol>,
    /// The file has a variable called as a builtin that an operator calls.
    shadows_operators: bool,
    scopes: Scopes,
    /// The function being compiled makes something that keeps its level.
    captures: bool,
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

/// Which names stand for what at this place in the file.
#[derive(Default)]
struct Scopes {
    /// For each name of the file its meanings, innermost last: level and slot.
    meanings: Vec<Vec<(u32, u32)>>,
    /// Levels around this place.
    level: u32,
    /// Those of them that are `with`s, innermost last.
    withs: Vec<(u32, PosIdx)>,
}

type Result<T> = std::result::Result<T, Box<EvalError>>;

impl<'a, 'c> Compiler<'a, 'c> {
    #[expect(
        clippy::too_many_arguments,
        reason = "a constructor that names each part once"
    )]
    pub(crate) fn new(
        arena: &'a Bump,
        ast: &'c Ast,
        symbols: &mut Symbols<'a>,
        base: u32,
        directory: &'c [u8],
        home: Option<&'c [u8]>,
        thunks: &'c mut Vec<&'a Expr<'a>>,
        globals: &'c FxHashMap<Symbol, &'a Slot<'a>>,
        known: WellKnown,
        delay_all: bool,
    ) -> Self {
        let symbols: Vec<_> = ast
            .names
            .iter()
            .map(|&text| symbols.intern(ast.text(text)))
            .collect();
        Self {
            shadows_operators: symbols.iter().any(|&name| known.is_operator(name)),
            scoped: Vec::new(),
            arena,
            ast,
            symbols,
            base,
            directory,
            home,
            thunks,
            globals,
            known,
            delay_all,
            scopes: Scopes {
                meanings: vec![Vec::new(); ast.names.len()],
                ..Scopes::default()
            },
            captures: false,
        }
    }

    /// Opens a level whose slots are `names`, before [`Compiler::file`]: what `scopedImport` and a session bring.
    pub(crate) fn open_scope(&mut self, names: &[Symbol]) {
        self.scoped = names.to_vec();
        self.shadows_operators |= names.iter().any(|&name| self.known.is_operator(name));
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
        let root = self.ast.root.expect("the parser gives every tree a root");
        let expr = self.expr(root)?;
        Ok(self.arena.alloc(expr))
    }

    fn symbol(&self, name: Name) -> Symbol {
        self.symbols[name.0 as usize]
    }

    fn at(&self, offset: u32) -> PosIdx {
        Positions::at(self.base, offset)
    }

    fn position(&self, id: NodeId) -> PosIdx {
        self.at(self.ast.position(id))
    }

    fn start(&self, id: NodeId) -> PosIdx {
        self.at(self.ast.start(id))
    }

    fn open(&mut self, names: impl Iterator<Item = (Name, u32)>) {
        self.scopes.level += 1;
        self.add_names(names);
    }

    fn add_names(&mut self, names: impl Iterator<Item = (Name, u32)>) {
        let level = self.scopes.level;
        for (name, slot) in names {
            self.scopes.meanings[name.0 as usize].push((level, slot));
        }
    }

    fn remove_names(&mut self, names: impl Iterator<Item = Name>) {
        for name in names {
            self.scopes.meanings[name.0 as usize].pop();
        }
    }

    fn close(&mut self, names: impl Iterator<Item = Name>) {
        self.remove_names(names);
        self.scopes.level -= 1;
    }

    fn alloc(&mut self, id: NodeId) -> Result<&'a Expr<'a>> {
        let expr = self.expr(id)?;
        Ok(self.arena.alloc(expr))
    }

    /// An expression where Nix makes a thunk.
    fn lazy(&mut self, id: NodeId) -> Result<Lazy<'a>> {
        let expr = self.alloc(id)?;
        Ok(self.delayable(expr))
    }

    fn delayable(&mut self, expr: &'a Expr<'a>) -> Lazy<'a> {
        let kind = match kind_of(expr) {
            kind @ (LazyKind::Constant | LazyKind::Variable) => kind,
            kind if !self.delay_all || matches!(expr, Expr::List { items: [] }) => kind,
            _ => LazyKind::Thunk,
        };
        if matches!(kind, LazyKind::Thunk) {
            self.captures = true;
        }
        let id = ThunkId(self.thunks.len() as u32);
        if !matches!(expr, Expr::Constant(_) | Expr::Lambda(_)) || kind == LazyKind::Thunk {
            self.thunks.push(expr);
        }
        Lazy { expr, id, kind }
    }

    fn lazies(&mut self, ids: &[NodeId]) -> Result<&'a [Lazy<'a>]> {
        let mut items = bumpalo::collections::Vec::with_capacity_in(ids.len(), self.arena);
        for &id in ids {
            items.push(self.lazy(id)?);
        }
        Ok(items.into_bump_slice())
    }

    fn expr(&mut self, id: NodeId) -> Result<Expr<'a>> {
        stacker::maybe_grow(64 * 1024, 4 * 1024 * 1024, || self.expr_here(id))
    }

    fn expr_here(&mut self, id: NodeId) -> Result<Expr<'a>> {
        let position = self.position(id);
        let ast = self.ast;
        Ok(match ast.node(id) {
            Node::Int(value) => Expr::Constant(Value::Int(value)),
            Node::Float(value) => Expr::Constant(Value::Float(value)),
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
                    scope: self.arena.alloc(scope),
                    body: body?,
                    position,
                }
            }
            Node::Binary { op, left, right } => match self.shadowed_operator(op) {
                Some(function) => self.shadowed_call(op, function, left, right, position)?,
                None => Expr::Binary {
                    op: op_of(op),
                    left: self.alloc(left)?,
                    right: self.alloc(right)?,
                    position,
                    starts: [self.start(left), self.start(right)],
                },
            },
            Node::Not(operand) => Expr::Not {
                operand: self.alloc(operand)?,
                position,
            },
            Node::Negate(operand) => self.negate(operand, position)?,
        })
    }

    fn string(&self, bytes: &[u8]) -> Value<'a> {
        let bytes = self.arena.alloc_slice_copy(bytes);
        Value::String(self.arena.alloc(NixString::plain(bytes)))
    }

    fn path(&self, text: &[u8], position: PosIdx) -> Result<Value<'a>> {
        let path = literal_path(text, self.directory, self.home)
            .map_err(|message| EvalError::new(ErrorKind::Eval, message).at(position))?;
        Ok(Value::path_in(
            self.arena,
            self.arena.alloc_slice_copy(&path),
        ))
    }

    /// The first part's trailing slash matters (`./${x}`), so it stays a string that starts a path.
    fn path_interpolation(&mut self, parts: &[NodeId], position: PosIdx) -> Result<Expr<'a>> {
        let mut exprs = Vec::with_capacity(parts.len());
        for (index, &part) in parts.iter().enumerate() {
            let expr: &'a Expr<'a> = match self.ast.node(part) {
                Node::Path(text) if index == 0 => {
                    let text = self.ast.text(text);
                    let mut path = literal_path(text, self.directory, self.home)
                        .map_err(|message| EvalError::new(ErrorKind::Eval, message).at(position))?;
                    if text.ends_with(b"/") && !path.ends_with(b"/") {
                        path.push(b'/');
                    }
                    let bytes = self.arena.alloc_slice_copy(&path);
                    self.arena
                        .alloc(Expr::Constant(Value::path_in(self.arena, bytes)))
                }
                _ => self.alloc(part)?,
            };
            exprs.push((expr, self.start(part)));
        }
        Ok(Expr::Concat {
            parts: self.arena.alloc_slice_copy(&exprs),
            position,
            path: true,
        })
    }

    /// `<a/b>` is `__findFile __nixPath "a/b"`, with whatever these names mean here.
    fn search_path(&mut self, text: &[u8], position: PosIdx) -> Result<Expr<'a>> {
        let find_file = self.variable_of_symbol(self.known.find_file, position)?;
        let function = self.arena.alloc(find_file);
        let nix_path = self.variable_of_symbol(self.known.nix_path, position)?;
        let nix_path = self.arena.alloc(nix_path);
        let text = self.arena.alloc(Expr::Constant(self.string(text)));
        let args = [self.delayable(nix_path), self.delayable(text)];
        Ok(Expr::Call {
            function,
            args: self.arena.alloc_slice_copy(&args),
            position,
        })
    }

    /// A number at once; anything else is `__sub 0 e` with whatever `__sub` means here.
    fn negate(&mut self, operand: NodeId, position: PosIdx) -> Result<Expr<'a>> {
        let shadowed = self.shadowed_operator(BinaryOp::Sub).is_some();
        let operand = self.alloc(operand)?;
        if shadowed {
            let function = self.variable_of_symbol(self.known.sub, position)?;
            let function = self.arena.alloc(function);
            let zero: &'a Expr<'a> = self.arena.alloc(Expr::Constant(Value::Int(0)));
            let args = [self.delayable(zero), self.delayable(operand)];
            return Ok(Expr::Call {
                function,
                args: self.arena.alloc_slice_copy(&args),
                position,
            });
        }
        Ok(match operand {
            _ if self.delay_all => Expr::Negate { operand, position },
            Expr::Constant(Value::Int(value)) if *value != i64::MIN => {
                Expr::Constant(Value::Int(-value))
            }
            Expr::Constant(Value::Float(value)) => Expr::Constant(Value::Float(0.0 - value)),
            _ => Expr::Negate { operand, position },
        })
    }

    /// What an operator calls, where a variable of the file stands in the way of the builtin.
    fn shadowed_operator(&self, op: BinaryOp) -> Option<Symbol> {
        if !self.shadows_operators {
            return None;
        }
        let function = match op {
            BinaryOp::Sub => self.known.sub,
            BinaryOp::Mul => self.known.mul,
            BinaryOp::Div => self.known.div,
            BinaryOp::Less | BinaryOp::LessEq | BinaryOp::Greater | BinaryOp::GreaterEq => {
                self.known.less_than
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
        let function = self.arena.alloc(function);
        let mut args = [self.lazy(left)?, self.lazy(right)?];
        if matches!(op, BinaryOp::Greater | BinaryOp::LessEq) {
            args.reverse();
        }
        let call = Expr::Call {
            function,
            args: self.arena.alloc_slice_copy(&args),
            position,
        };
        Ok(match op {
            BinaryOp::LessEq | BinaryOp::GreaterEq => Expr::Not {
                operand: self.arena.alloc(call),
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
        Ok(self.arena.alloc_slice_copy(&parts))
    }

    fn variable(&mut self, name: Name, position: PosIdx) -> Result<Expr<'a>> {
        if let Some(&(level, index)) = self.scopes.meanings[name.0 as usize].last() {
            return Ok(Expr::Variable {
                depth: self.scopes.level - level,
                index,
                position,
            });
        }
        self.free_variable(self.symbol(name), position)
    }

    fn variable_of_symbol(&mut self, symbol: Symbol, position: PosIdx) -> Result<Expr<'a>> {
        match self.symbols.iter().position(|&other| other == symbol) {
            Some(name) => self.variable(Name(name as u32), position),
            None => match self.scoped.iter().position(|&other| other == symbol) {
                Some(slot) => Ok(Expr::Variable {
                    depth: self.scopes.level - 1,
                    index: slot as u32,
                    position,
                }),
                None => self.free_variable(symbol, position),
            },
        }
    }

    fn free_variable(&mut self, symbol: Symbol, position: PosIdx) -> Result<Expr<'a>> {
        if let Some(&slot) = self.globals.get(&symbol) {
            return Ok(match slot.get() {
                value if value.is_whnf() => Expr::Constant(value),
                _ => Expr::Global(slot),
            });
        }
        if self.scopes.withs.is_empty() {
            let name = self.name_text(symbol);
            return Err(EvalError::new(
                ErrorKind::UndefinedVariable,
                format!("undefined variable '{name}'"),
            )
            .at(position));
        }
        let level = self.scopes.level;
        let depths = self
            .scopes
            .withs
            .iter()
            .rev()
            .map(|&(with, at)| (level - with, at));
        let scopes = self.arena.alloc_slice_fill_iter(depths.collect::<Vec<_>>());
        Ok(Expr::WithVariable(self.arena.alloc(WithVariable {
            name: symbol,
            position,
            scopes,
        })))
    }

    fn name_text(&self, symbol: Symbol) -> String {
        let name = self.symbols.iter().position(|&other| other == symbol);
        name.map_or_else(
            || "?".to_owned(),
            |name| String::from_utf8_lossy(self.ast.name(Name(name as u32))).into_owned(),
        )
    }

    fn path_steps(&mut self, path: AttrPath) -> Result<&'a [Step<'a>]> {
        let mut steps = Vec::with_capacity(path.len as usize);
        for &name in self.ast.attr_path(path) {
            steps.push(match name {
                AttrName::Static(name) => Step::Static(self.symbol(name)),
                AttrName::Dynamic(id) => Step::Dynamic(self.alloc(id)?),
            });
        }
        Ok(self.arena.alloc_slice_copy(&steps))
    }

    fn select(
        &mut self,
        base: NodeId,
        path: AttrPath,
        default: Option<NodeId>,
        position: PosIdx,
    ) -> Result<Expr<'a>> {
        let base = self.alloc(base)?;
        if let (&[AttrName::Static(name)], None) = (self.ast.attr_path(path), default) {
            return Ok(select_symbol(base, self.symbol(name), position));
        }
        let path = self.path_steps(path)?;
        let default = default.map(|id| self.alloc(id)).transpose()?;
        Ok(Expr::SelectPath(self.arena.alloc(SelectPath {
            base,
            path,
            default,
            position,
        })))
    }

    /// A function with all the parameters that stand together.
    fn lambda(&mut self, id: NodeId) -> Result<Expr<'a>> {
        let outer_captures = std::mem::replace(&mut self.captures, false);
        self.scopes.level += 1;
        let mut names = Vec::new();
        let mut positions = Vec::new();
        let mut body = id;
        let mut pattern = None;
        loop {
            match self.ast.node(body) {
                Node::Lambda { param, body: inner } => {
                    positions.push(self.position(body));
                    names.push(param);
                    body = inner;
                }
                Node::PatternLambda {
                    pattern: found,
                    body: inner,
                } => {
                    positions.push(self.position(body));
                    pattern = Some(found);
                    body = inner;
                    break;
                }
                _ => break,
            }
        }
        let params = self
            .arena
            .alloc_slice_fill_iter(names.iter().map(|&name| self.symbol(name)));
        self.add_names(
            names
                .iter()
                .enumerate()
                .map(|(slot, &name)| (name, slot as u32))
                .collect::<Vec<_>>()
                .into_iter(),
        );
        let mut slots = names.len() as u32;
        let compiled = match pattern {
            Some(pattern) => Some(self.pattern(pattern, &mut names, &mut slots)?),
            None => None,
        };
        let body = self.function_body(body, &names, &mut slots)?;
        self.close(names.into_iter());
        let captures = std::mem::replace(&mut self.captures, outer_captures);
        // The function itself keeps the level around it.
        self.captures = true;
        Ok(Expr::Lambda(self.arena.alloc(LambdaCode {
            name: std::cell::Cell::new(None),
            positions: self.arena.alloc_slice_copy(&positions),
            params,
            pattern: compiled,
            slots,
            body,
            starts_on_stack: !captures && pattern.is_none() && slots as usize <= MOST_ON_STACK,
        })))
    }

    fn pattern(
        &mut self,
        id: PatternId,
        names: &mut Vec<Name>,
        slots: &mut u32,
    ) -> Result<PatternCode<'a>> {
        let pattern = self.ast.pattern(id);
        let mut formals: Vec<_> = pattern.formals.iter().collect();
        formals.sort_by_key(|formal| self.symbol(formal.name));
        let all = pattern
            .at
            .into_iter()
            .chain(formals.iter().map(|formal| formal.name));
        let all: Vec<_> = all.map(|name| (name, post_increment(slots))).collect();
        if all.is_empty() {
            // The argument itself needs a place until it is matched.
            *slots += 1;
        }
        names.extend(all.iter().map(|&(name, _)| name));
        self.add_names(all.into_iter());
        let mut compiled = bumpalo::collections::Vec::with_capacity_in(formals.len(), self.arena);
        for formal in formals {
            compiled.push(FormalCode {
                name: self.symbol(formal.name),
                position: self.at(formal.position),
                default: formal.default.map(|id| self.lazy(id)).transpose()?,
            });
        }
        Ok(PatternCode {
            formals: compiled.into_bump_slice(),
            ellipsis: pattern.ellipsis,
            at: pattern.at.map(|name| self.symbol(name)),
        })
    }

    /// A `let` right below a function shares the function's level, unless a name stands for both.
    fn function_body(
        &mut self,
        body: NodeId,
        params: &[Name],
        slots: &mut u32,
    ) -> Result<&'a Expr<'a>> {
        if let Node::Let {
            bindings,
            body: inner,
        } = self.ast.node(body)
        {
            let bindings = self.ast.bindings(bindings);
            if bindings
                .entries
                .iter()
                .all(|entry| !params.contains(&entry.name))
            {
                self.captures = true;
                let first = *slots;
                *slots += (bindings.entries.len() + bindings.inherit_from.len()) as u32;
                let code = self.let_level(bindings, first, true)?;
                let body = self.alloc(inner)?;
                self.remove_names(bindings.entries.iter().map(|entry| entry.name));
                return Ok(self.arena.alloc(Expr::Let(self.arena.alloc(LetCode {
                    bindings: code.0,
                    inherit_from: code.1,
                    body,
                    merged_at: Some(first),
                }))));
            }
        }
        self.alloc(body)
    }

    fn let_in(&mut self, bindings: &Bindings, body: NodeId) -> Result<Expr<'a>> {
        self.scopes.level += 1;
        let (compiled, inherit_from) = self.let_level(bindings, 0, false)?;
        let body = self.alloc(body)?;
        self.close(bindings.entries.iter().map(|entry| entry.name));
        Ok(Expr::Let(self.arena.alloc(LetCode {
            bindings: compiled,
            inherit_from,
            body,
            merged_at: None,
        })))
    }

    /// Bindings and `inherit (e)`s of a level that is open; adds their names, in slots from `first` on.
    fn let_level(
        &mut self,
        bindings: &Bindings,
        first: u32,
        merged: bool,
    ) -> Result<(&'a [BindingCode<'a>], &'a [Lazy<'a>])> {
        let inherited = self.inherited(bindings, merged)?;
        self.add_names(
            (bindings.entries.iter().enumerate())
                .map(|(index, entry)| (entry.name, first + index as u32))
                .collect::<Vec<_>>()
                .into_iter(),
        );
        let froms = first + bindings.entries.len() as u32;
        let order: Vec<_> = (0..bindings.entries.len()).collect();
        let compiled = self.bindings(bindings, &order, inherited, froms)?;
        let inherit_from = self.lazies(&bindings.inherit_from)?;
        Ok((compiled, inherit_from))
    }

    /// What `inherit x;` refers to: names as they are around the level that was just opened (`merged`: around its
    /// additional names).
    fn inherited(&mut self, bindings: &Bindings, merged: bool) -> Result<Vec<Option<Lazy<'a>>>> {
        let opened = u32::from(!merged);
        self.scopes.level -= opened;
        let mut inherited = Vec::with_capacity(bindings.entries.len());
        for entry in &bindings.entries {
            inherited.push(match entry.value {
                BindingValue::Inherit => {
                    let variable = self.variable(entry.name, self.at(entry.position))?;
                    let variable = self.arena.alloc(variable);
                    Some(self.delayable(variable))
                }
                _ => None,
            });
        }
        self.scopes.level += opened;
        Ok(inherited)
    }

    /// The entries in `order`; the n-th `inherit (e)` is in slot `froms + n` of the innermost level.
    fn bindings(
        &mut self,
        bindings: &Bindings,
        order: &[usize],
        mut inherited: Vec<Option<Lazy<'a>>>,
        froms: u32,
    ) -> Result<&'a [BindingCode<'a>]> {
        let mut compiled = bumpalo::collections::Vec::with_capacity_in(order.len(), self.arena);
        for &index in order {
            let entry = &bindings.entries[index];
            let (name, position) = (self.symbol(entry.name), self.at(entry.position));
            let (scope, value) = match entry.value {
                BindingValue::Plain(id) => (Scope::Inner, self.named(id, name)?),
                BindingValue::Inherit => {
                    let value = inherited[index]
                        .take()
                        .expect("made above for every plain inherit");
                    (Scope::Outer, value)
                }
                BindingValue::InheritFrom(from) => {
                    let base = self.arena.alloc(Expr::Variable {
                        depth: 0,
                        index: froms + from,
                        position,
                    });
                    let select = self.arena.alloc(select_symbol(base, name, position));
                    (Scope::Inner, self.delayable(select))
                }
            };
            compiled.push(BindingCode {
                name,
                position,
                scope,
                value,
            });
        }
        Ok(compiled.into_bump_slice())
    }

    /// A bound expression: functions learn their name.
    fn named(&mut self, id: NodeId, name: Symbol) -> Result<Lazy<'a>> {
        if matches!(
            self.ast.node(id),
            Node::Lambda { .. } | Node::PatternLambda { .. }
        ) {
            let lambda = self.lambda(id)?;
            if let Expr::Lambda(code) = lambda {
                code.set_name(name);
            }
            let lambda = self.arena.alloc(lambda);
            return Ok(self.delayable(lambda));
        }
        self.lazy(id)
    }

    fn attrs(&mut self, bindings: &Bindings, position: PosIdx) -> Result<Expr<'a>> {
        let mut order: Vec<_> = (0..bindings.entries.len()).collect();
        order.sort_by_key(|&index| self.symbol(bindings.entries[index].name));
        let has_level = bindings.recursive || !bindings.inherit_from.is_empty();
        if has_level {
            self.captures = true;
            self.scopes.level += 1;
        }
        let inherited = self.inherited(bindings, !has_level)?;
        let mut overrides = None;
        let mut froms = 0;
        let mut inherit_from: &'a [Lazy<'a>] = &[];
        if bindings.recursive {
            let slots: Vec<_> = order
                .iter()
                .enumerate()
                .map(|(slot, &index)| (bindings.entries[index].name, slot as u32))
                .collect();
            overrides = (slots.iter())
                .find(|&&(name, _)| self.symbol(name) == self.known.overrides)
                .map(|&(_, slot)| slot);
            self.add_names(slots.into_iter());
            froms = order.len() as u32;
            inherit_from = self.lazies(&bindings.inherit_from)?;
        } else if has_level {
            // Their expressions, like all values here, belong around the level that only holds their results.
            self.scopes.level -= 1;
            inherit_from = self.lazies(&bindings.inherit_from)?;
            self.scopes.level += 1;
        }
        let compiled = self.bindings(bindings, &order, inherited, froms)?;
        let mut dynamic =
            bumpalo::collections::Vec::with_capacity_in(bindings.dynamic.len(), self.arena);
        for entry in &bindings.dynamic {
            dynamic.push(DynamicCode {
                name: self.alloc(entry.name)?,
                position: self.at(entry.position),
                value: self.lazy(entry.value)?,
            });
        }
        if bindings.recursive {
            self.remove_names(bindings.entries.iter().map(|entry| entry.name));
        }
        if has_level {
            self.scopes.level -= 1;
        }
        Ok(Expr::Attrs(self.arena.alloc(AttrsCode {
            position,
            recursive: bindings.recursive,
            bindings: compiled,
            inherit_from,
            dynamic: dynamic.into_bump_slice(),
            overrides,
        })))
    }
}

fn post_increment(counter: &mut u32) -> u32 {
    let value = *counter;
    *counter += 1;
    value
}

fn select_symbol<'a>(base: &'a Expr<'a>, name: Symbol, position: PosIdx) -> Expr<'a> {
    Expr::Select {
        base,
        name,
        position,
        hint: std::cell::Cell::new(0),
    }
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

fn kind_of(expr: &Expr<'_>) -> LazyKind {
    match expr {
        Expr::Constant(_) => LazyKind::Constant,
        Expr::Variable { .. } => LazyKind::Variable,
        Expr::Lambda(_) => LazyKind::Constructor,
        Expr::List { items } if items.len() <= LARGEST_CONSTRUCTOR => LazyKind::Constructor,
        Expr::Attrs(code)
            if !code.recursive
                && code.dynamic.is_empty()
                && code.inherit_from.is_empty()
                && code.bindings.len() <= LARGEST_CONSTRUCTOR =>
        {
            LazyKind::Constructor
        }
        Expr::Binary { .. } if is_arithmetic(expr, DEEPEST_ARITHMETIC) && !is_constant(expr) => {
            LazyKind::Arithmetic
        }
        Expr::Select {
            base: Expr::Variable { .. },
            ..
        } => LazyKind::Select,
        Expr::WithVariable(_) => LazyKind::WithVariable,
        _ => LazyKind::Thunk,
    }
}

/// Nobody writes such a thing but to see that it is delayed.
fn is_constant(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Binary { left, right, .. } => is_constant(left) && is_constant(right),
        expr => matches!(expr, Expr::Constant(_)),
    }
}

/// Only operators on numbers that [`crate::eval`] can try without evaluating anything else.
fn is_arithmetic(expr: &Expr<'_>, depth: u32) -> bool {
    match expr {
        Expr::Constant(Value::Int(_)) | Expr::Variable { .. } => true,
        Expr::Binary {
            op, left, right, ..
        } => {
            depth > 0
                && matches!(
                    op,
                    Op::Add
                        | Op::Sub
                        | Op::Mul
                        | Op::Less
                        | Op::LessEq
                        | Op::Greater
                        | Op::GreaterEq
                        | Op::Eq
                        | Op::NotEq
                )
                && is_arithmetic(left, depth - 1)
                && is_arithmetic(right, depth - 1)
        }
        _ => false,
    }
}
