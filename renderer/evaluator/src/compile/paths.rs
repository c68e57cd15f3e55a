//! Path literals.

use super::{Compiler, Result};
use crate::ast::{Node, NodeId};
use crate::error::{ErrorKind, EvalError};
use crate::expr::Expr;
use crate::path::literal_path;
use crate::position::PosIdx;
use crate::value::Value;

impl<'a> Compiler<'a, '_> {
    pub(super) fn path(&self, text: &[u8], position: PosIdx) -> Result<Value<'a>> {
        let path = literal_path(text, self.input.directory, self.input.home)
            .map_err(|message| EvalError::new(ErrorKind::Eval, message).at(position))?;
        Ok(Value::path_in(
            self.input.arena,
            self.input.arena.alloc_slice_copy(&path),
        ))
    }

    /// The first part's trailing slash matters (`./${x}`), so it stays a string that starts a path.
    pub(super) fn path_interpolation(
        &mut self,
        parts: &[NodeId],
        position: PosIdx,
    ) -> Result<Expr<'a>> {
        let mut exprs = Vec::with_capacity(parts.len());
        for (index, &part) in parts.iter().enumerate() {
            let expr: &'a Expr<'a> = match self.input.ast.node(part) {
                Node::Path(text) if index == 0 => {
                    let text = self.input.ast.text(text);
                    let mut path = literal_path(text, self.input.directory, self.input.home)
                        .map_err(|message| EvalError::new(ErrorKind::Eval, message).at(position))?;
                    if text.ends_with(b"/") && !path.ends_with(b"/") {
                        path.push(b'/');
                    }
                    let bytes = self.input.arena.alloc_slice_copy(&path);
                    self.input
                        .arena
                        .alloc(Expr::Constant(Value::path_in(self.input.arena, bytes)))
                }
                _ => self.alloc(part)?,
            };
            exprs.push((expr, self.start(part)));
        }
        Ok(Expr::Concat {
            parts: self.input.arena.alloc_slice_copy(&exprs),
            position,
            path: true,
        })
    }

    /// `<a/b>` is `__findFile __nixPath "a/b"`, with whatever these names mean here.
    pub(super) fn search_path(&mut self, text: &[u8], position: PosIdx) -> Result<Expr<'a>> {
        let find_file = self.variable_of_symbol(self.input.known.find_file, position)?;
        let function = self.input.arena.alloc(find_file);
        let nix_path = self.variable_of_symbol(self.input.known.nix_path, position)?;
        let nix_path = self.input.arena.alloc(nix_path);
        let text = self.input.arena.alloc(Expr::Constant(self.string(text)));
        let args = [self.delayable(nix_path), self.delayable(text)];
        Ok(Expr::Call {
            function,
            args: self.input.arena.alloc_slice_copy(&args),
            position,
        })
    }
}
