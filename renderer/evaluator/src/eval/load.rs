//! From source text to values: parsing, compiling and importing files.

use std::sync::Arc;

use super::{Evaluator, Result};
use crate::ast::{Ast, AttrName, Node, NodeId};
use crate::ast_print::PathContext;
use crate::attrs::Attrs;
use crate::compile::{self, Compiler};
use crate::env::{Env, LevelId, Levels};
use crate::error::{ErrorKind, EvalError};
use crate::expr::Expr;
use crate::feature::Feature;
use crate::files::Links;
use crate::io::FileType;
use crate::parser::{ParseOptions, parse_with};
use crate::path;
use crate::position::{Origin, PosIdx, Positions};
use crate::symbol::Symbol;
use crate::value::{Slot, Value};

/// Variables that a source text sees beside the global ones: names and their slots in one level.
struct Scope {
    names: Vec<Symbol>,
    level: LevelId,
}

impl<'a> Evaluator<'a> {
    /// Evaluates a source text. `directory` is where its relative paths start.
    pub fn eval_source(
        &mut self,
        source: &[u8],
        origin: Origin,
        directory: &[u8],
    ) -> Result<Value<'a>> {
        self.on_stack(|evaluator| {
            let expr = evaluator.compile(source, origin, directory, None)?;
            let env = evaluator.levels.env(Levels::ROOT);
            evaluator.eval(expr, &env)
        })
    }

    /// Evaluates the file at `path` (a folder: its `default.nix`); each file once.
    pub fn eval_file(&mut self, path: &[u8]) -> Result<Value<'a>> {
        self.on_stack(|evaluator| {
            if let Some(&slot) = evaluator.imported.get(path) {
                return evaluator.force_slot(slot, PosIdx::NONE);
            }
            let given = path;
            let path = evaluator.resolve_file(given)?;
            if let Some(&slot) = evaluator.imported.get(&path) {
                let value = evaluator.force_slot(slot, PosIdx::NONE)?;
                evaluator.imported.insert(given.to_vec(), slot);
                return Ok(value);
            }
            // What the file is, is made when forced: a file that imports itself on the way finds a black hole.
            let slot: &'a Slot<'a> = evaluator.arena.alloc(Slot::new(Value::Blackhole));
            evaluator.imported.insert(path.clone(), slot);
            match evaluator.eval_resolved(&path, None) {
                Ok(value) => {
                    slot.set(value);
                    Ok(value)
                }
                Err(error) => {
                    evaluator.imported.remove(&path);
                    Err(error)
                }
            }
        })
    }

    /// Evaluates the file at `path` for itself, not as an import: it may be imported on the way.
    pub fn eval_main_file(&mut self, path: &[u8]) -> Result<Value<'a>> {
        self.on_stack(|evaluator| {
            let path = evaluator.resolve_file(path)?;
            let expr = evaluator.compile_file(&path, None)?;
            let env = evaluator.levels.env(Levels::ROOT);
            evaluator.eval(expr, &env)
        })
    }

    /// `scopedImport`
    pub(crate) fn eval_file_in(
        &mut self,
        path: &[u8],
        variables: &'a Attrs<'a>,
    ) -> Result<Value<'a>> {
        let path = self.resolve_file(path)?;
        let entries = variables.entries(self.arena);
        let scope = Scope {
            names: entries.iter().map(|attr| attr.name).collect(),
            level: self.level_of(entries),
        };
        self.eval_resolved(&path, Some(&scope))
    }

    fn compile_file(&mut self, path: &[u8], variables: Option<&[Symbol]>) -> Result<&'a Expr<'a>> {
        // Links on the way are followed by the evaluation, which must know of each where it leads.
        let real_path = self.resolve(path, Links::OnTheWay)?;
        let source = self.read_source(&real_path)?;
        let directory = path::parent(path).to_vec();
        self.compile(&source, Origin::File(path.to_vec()), &directory, variables)
    }

    fn eval_resolved(&mut self, path: &[u8], scope: Option<&Scope>) -> Result<Value<'a>> {
        let expr = self.compile_file(path, scope.map(|scope| scope.names.as_slice()))?;
        let level = scope.map_or(Levels::ROOT, |scope| scope.level);
        let env = self.levels.env(level);
        self.eval(expr, &env).map_err(|error| {
            let path = self.io.shown_path(path);
            error.trace(PosIdx::NONE, format!("while evaluating the file '{path}':"))
        })
    }

    /// The text of a Nix file.
    pub fn read_source(&self, path: &[u8]) -> Result<Vec<u8>> {
        self.read_file(path)
    }

    /// A file that could not be read, as an error of the evaluation.
    pub(crate) fn io_error(&self, path: &[u8], error: &std::io::Error) -> Box<EvalError> {
        let shown = self.io.shown_path(path);
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                let why = self.io.why_missing(path);
                let missing = || format!("path '{shown}' does not exist");
                EvalError::new(ErrorKind::Io, why.unwrap_or_else(missing))
            }
            std::io::ErrorKind::PermissionDenied if error.get_ref().is_some() => {
                EvalError::new(ErrorKind::Restricted, error.to_string())
            }
            _ => EvalError::new(ErrorKind::Io, format!("cannot read '{shown}': {error}")),
        }
    }

    /// The file that an import of `path` reads: links are followed, and a folder stands for its `default.nix`.
    pub fn resolve_file(&mut self, path: &[u8]) -> Result<Vec<u8>> {
        let mut path = path.to_vec();
        for _ in 0..MOST_LINKS {
            let real_path = self.resolve(&path, Links::OnTheWay)?;
            match self.file_type(&real_path)? {
                Some(FileType::Symlink) => {
                    let target = self.io.read_link(&real_path);
                    let target = target.map_err(|error| self.io_error(&real_path, &error))?;
                    path = if target.starts_with(b"/") {
                        path::normalise(&target)
                    } else {
                        path::normalise(&path::join(path::parent(&path), &target))
                    };
                }
                Some(FileType::Directory) => return Ok(path::join(&path, b"default.nix")),
                _ => return Ok(path),
            }
        }
        let path = self.io.shown_path(&path);
        Err(EvalError::new(
            ErrorKind::Io,
            format!("too many symbolic links encountered while traversing the path '{path}'"),
        ))
    }

    /// A part of the evaluator that is written in Nix.
    pub(crate) fn internal_source(
        &mut self,
        name: &'static str,
        source: &'static str,
    ) -> Result<Value<'a>> {
        let expr = self.compile(source.as_bytes(), Origin::Internal(name), b"/", None)?;
        let env = self.levels.env(Levels::ROOT);
        self.eval(expr, &env)
    }

    /// The tree of a source text whose variables all have a meaning. `directory` is where its relative paths start.
    pub fn parse(&mut self, source: &[u8], origin: Origin, directory: &[u8]) -> Result<Arc<Ast>> {
        let (ast, base) = self.read_tree(source, origin, directory)?;
        self.compile_tree(&ast, base, directory, None)?;
        Ok(ast)
    }

    /// The tree of a source text, and the number that [`Positions::at`] wants for it.
    fn read_tree(
        &mut self,
        source: &[u8],
        origin: Origin,
        directory: &[u8],
    ) -> Result<(Arc<Ast>, u32)> {
        let kept: &'a [u8] = self.arena.alloc_slice_copy(source);
        let directory: &'a [u8] = self.arena.alloc_slice_copy(directory);
        let added = self.positions.add(origin, kept, directory);
        let base = added.ok_or_else(|| {
            EvalError::new(
                ErrorKind::Eval,
                "the sources of one evaluation are larger than 4 GiB",
            )
        })?;
        let options = ParseOptions {
            pipe_operators: self.settings.features.contains(&Feature::PipeOperators),
        };
        let parsed = match &self.settings.parse_cache {
            Some(shared) => shared.parse(source, options),
            None => parse_with(source, options).map(Arc::new),
        };
        let ast = parsed.map_err(|error| {
            let message =
                error.message_with(|offset| self.describe_position(Positions::at(base, offset)));
            EvalError::new(ErrorKind::Parse, message).at(Positions::at(base, error.start))
        })?;
        self.check_remarks(&ast, source, base)?;
        Ok((ast, base))
    }

    pub(super) fn compile(
        &mut self,
        source: &[u8],
        origin: Origin,
        directory: &[u8],
        variables: Option<&[Symbol]>,
    ) -> Result<&'a Expr<'a>> {
        let (ast, base) = self.read_tree(source, origin, directory)?;
        self.compile_tree(&ast, base, directory, variables)
    }

    fn compile_tree(
        &mut self,
        ast: &Ast,
        base: u32,
        directory: &[u8],
        variables: Option<&[Symbol]>,
    ) -> Result<&'a Expr<'a>> {
        let home = if self.settings.pure {
            None
        } else {
            self.io.env_var(b"HOME")
        };
        let names = self.names;
        let input = compile::Input {
            arena: self.arena,
            ast,
            base,
            directory,
            home: home.as_deref(),
            thunks: &mut self.thunks,
            globals: &self.globals,
            known: compile::WellKnown {
                overrides: names.overrides,
                find_file: names.find_file,
                nix_path: names.nix_path,
                sub: names.sub,
                mul: names.mul,
                div: names.div,
                less_than: names.less_than,
            },
            delay_all: self.settings.delay_all,
        };
        let mut compiler = Compiler::new(input, &mut self.symbols);
        if let Some(variables) = variables {
            compiler.open_scope(variables);
        }
        compiler.file()
    }

    /// "assertion '…' failed", with the condition as it would be printed; for an equation, what differs.
    pub(super) fn assertion_failed(
        &mut self,
        condition: &'a Expr<'a>,
        position: PosIdx,
        env: &Env<'_, 'a>,
    ) -> Box<EvalError> {
        let text = self.assertion_text(position);
        if let Expr::Binary {
            op: crate::expr::Op::Eq,
            left,
            right,
            ..
        } = condition
        {
            let both = self
                .eval(left, env)
                .and_then(|l| Ok((l, self.eval(right, env)?)));
            let difference = match both {
                Ok((l, r)) => self.assert_equal(l, r, PosIdx::NONE),
                Err(error) => Err(error),
            };
            if let Err(error) = difference {
                if error.kind != ErrorKind::Assertion {
                    return error;
                }
                return error.trace(
                    position,
                    format!("while evaluating the condition of the assertion '{text}'"),
                );
            }
        }
        EvalError::new(ErrorKind::Assertion, format!("assertion '{text}' failed")).at(position)
    }

    /// The condition of the assertion at `position`, as C++ Nix prints it.
    fn assertion_text(&self, position: PosIdx) -> String {
        self.reprint(position, |_, node| match node {
            Node::Assert { condition, .. } => Some(*condition),
            _ => None,
        })
    }

    /// The name number `index` in the path of the selection at `position`, as C++ Nix prints it.
    pub(super) fn attribute_name_text(&self, position: PosIdx, index: usize) -> String {
        self.reprint(position, |ast, node| match node {
            Node::Select { path, .. } => match ast.attr_path(*path).get(index) {
                Some(AttrName::Dynamic(name)) => Some(*name),
                _ => None,
            },
            _ => None,
        })
    }

    /// What `pick` finds in a node at `position`, printed from a new parse of its source: failing is rare, and texts for
    /// all that may fail would be much to keep.
    fn reprint(&self, position: PosIdx, pick: impl Fn(&Ast, &Node) -> Option<NodeId>) -> String {
        let found = self
            .positions
            .source_of(position)
            .and_then(|(text, directory, offset)| {
                let options = ParseOptions {
                    pipe_operators: true,
                };
                let ast = parse_with(text, options).ok()?;
                let root = (0..ast.nodes.len())
                    .filter(|&index| ast.positions[index] == offset)
                    .find_map(|index| pick(&ast, &ast.nodes[index]))?;
                let home = self.io.env_var(b"HOME").unwrap_or_default();
                let paths = PathContext {
                    base: directory,
                    home: &home,
                };
                let tree = Ast {
                    root: Some(root),
                    ..ast
                };
                let text = crate::ast_print::print(&tree, paths);
                Some(String::from_utf8_lossy(&text).into_owned())
            });
        found.unwrap_or_else(|| "…".to_owned())
    }
}

/// As many links a path may lead over.
const MOST_LINKS: usize = 1024;
