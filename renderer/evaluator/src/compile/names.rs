//! What a name stands for at a place in the file.

use super::{Compiler, Result};
use crate::ast::Name;
use crate::error::{ErrorKind, EvalError};
use crate::expr::{Expr, WithVariable};
use crate::position::PosIdx;
use crate::symbol::Symbol;

/// Which names stand for what at this place in the file.
#[derive(Default)]
pub(super) struct Scopes {
    /// For each name of the file its meanings, innermost last: level and slot.
    pub(super) meanings: Vec<Vec<(u32, u32)>>,
    /// Levels around this place.
    pub(super) level: u32,
    /// Those of them that are `with`s, innermost last.
    pub(super) withs: Vec<(u32, PosIdx)>,
}

impl<'a> Compiler<'a, '_> {
    pub(super) fn open(&mut self, names: impl Iterator<Item = (Name, u32)>) {
        self.scopes.level += 1;
        self.add_names(names);
    }

    pub(super) fn add_names(&mut self, names: impl Iterator<Item = (Name, u32)>) {
        let level = self.scopes.level;
        for (name, slot) in names {
            self.scopes.meanings[name.0 as usize].push((level, slot));
        }
    }

    pub(super) fn remove_names(&mut self, names: impl Iterator<Item = Name>) {
        for name in names {
            self.scopes.meanings[name.0 as usize].pop();
        }
    }

    pub(super) fn close(&mut self, names: impl Iterator<Item = Name>) {
        self.remove_names(names);
        self.scopes.level -= 1;
    }

    pub(super) fn variable(&mut self, name: Name, position: PosIdx) -> Result<Expr<'a>> {
        if let Some(&(level, index)) = self.scopes.meanings[name.0 as usize].last() {
            return Ok(Expr::Variable {
                depth: self.scopes.level - level,
                index,
                position,
            });
        }
        self.free_variable(self.symbol(name), position)
    }

    pub(super) fn variable_of_symbol(
        &mut self,
        symbol: Symbol,
        position: PosIdx,
    ) -> Result<Expr<'a>> {
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
        if let Some(&slot) = self.input.globals.get(&symbol) {
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
        let scopes = self
            .input
            .arena
            .alloc_slice_fill_iter(depths.collect::<Vec<_>>());
        Ok(Expr::WithVariable(self.input.arena.alloc(WithVariable {
            name: symbol,
            hint: std::cell::Cell::new(0),
            position,
            scopes,
        })))
    }

    fn name_text(&self, symbol: Symbol) -> String {
        let name = self.symbols.iter().position(|&other| other == symbol);
        name.map_or_else(
            || "?".to_owned(),
            |name| String::from_utf8_lossy(self.input.ast.name(Name(name as u32))).into_owned(),
        )
    }
}
