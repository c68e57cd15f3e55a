//! What an interactive session asks: source texts that see variables of its own, names to complete, documentation.

use super::{Evaluator, Result};
use crate::attrs::{Attrs, Entries};
use crate::env::{LevelId, Levels};
use crate::expr::{Expr, ThunkId};
use crate::position::Origin;
use crate::symbol::Symbol;
use crate::value::{Delayed, Slot, Value};

impl<'a> Evaluator<'a> {
    /// [`Evaluator::eval_source`] of a text that also sees the attributes of `variables`.
    pub fn eval_source_in(
        &mut self,
        source: &[u8],
        origin: Origin,
        directory: &[u8],
        variables: &'a Attrs<'a>,
    ) -> Result<Value<'a>> {
        self.on_stack(|evaluator| {
            let (expr, level) = evaluator.compile_in(source, origin, directory, variables)?;
            let env = evaluator.levels.env(level);
            evaluator.eval(expr, &env)
        })
    }

    /// The same, evaluated only when the value is needed; that it can be parsed and knows its variables is seen now.
    pub fn delay_source_in(
        &mut self,
        source: &[u8],
        origin: Origin,
        directory: &[u8],
        variables: &'a Attrs<'a>,
    ) -> Result<Value<'a>> {
        self.on_stack(|evaluator| {
            let (expr, level) = evaluator.compile_in(source, origin, directory, variables)?;
            let id = ThunkId(evaluator.thunks.len() as u32);
            evaluator.thunks.push(expr);
            let delayed = Value::Delayed(Delayed::new(id, level));
            let slot = evaluator.arena.alloc(Slot::new(delayed));
            Ok(Value::Thunk(slot))
        })
    }

    fn compile_in(
        &mut self,
        source: &[u8],
        origin: Origin,
        directory: &[u8],
        variables: &'a Attrs<'a>,
    ) -> Result<(&'a Expr<'a>, LevelId)> {
        let entries = variables.entries(self.arena);
        let names: Vec<Symbol> = entries.iter().map(|attr| attr.name).collect();
        let expr = self.compile(source, origin, directory, Some(&names))?;
        Ok((expr, self.level_of(entries)))
    }

    /// A level whose variables are attributes.
    pub(super) fn level_of(&mut self, entries: Entries<'a>) -> LevelId {
        let (level, slots) = self.open_level(Levels::ROOT, entries.len());
        for (slot, entry) in slots.iter().zip(entries) {
            slot.set(entry.value.share());
        }
        level
    }

    /// Whether errors from now on record the functions on the way to them.
    pub fn set_show_trace(&mut self, show_trace: bool) {
        self.settings.show_trace = show_trace;
    }

    /// The names of the variables that every text sees, sorted.
    pub fn global_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .globals
            .keys()
            .map(|&name| self.symbols.text(name))
            .collect();
        names.sort();
        names
    }

    /// What is written about a function: the comment `/** … */` before it, or before what it is bound to.
    pub fn documentation(&self, function: Value<'a>) -> Option<String> {
        let Value::Lambda(lambda) = function else {
            return None;
        };
        let position = *lambda.code.positions.first()?;
        let (text, _, offset) = self.positions.source_of(position)?;
        let before = text.get(..offset as usize)?.trim_ascii_end();
        let comment = doc_comment(before).or_else(|| {
            // `name = function`, where the name may be a path of attributes.
            let name = before.strip_suffix(b"=")?.trim_ascii_end();
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_'-.\"".contains(byte);
            let length = name.iter().rev().take_while(|byte| is_name(byte)).count();
            doc_comment(name[..name.len() - length].trim_ascii_end())
        })?;
        Some(String::from_utf8_lossy(comment).into_owned())
    }

    /// The name of a function's first parameter; none for a pattern, and for what is no function of the language.
    pub fn parameter_name(&self, function: Value<'a>) -> Option<String> {
        let Value::Lambda(lambda) = function else {
            return None;
        };
        let name = lambda.code.params.first()?;
        Some(self.symbols.text(*name))
    }

    /// "a set", "an integer", "the built-in function 'map'": what a value is.
    pub fn describe_type(&self, value: Value<'a>) -> String {
        self.show_type(value)
    }
}

/// The inside of a documentation comment that `text` ends with.
fn doc_comment(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_suffix(b"*/")?;
    let start = memchr::memmem::rfind(inner, b"/*")?;
    inner[start + 2..].strip_prefix(b"*")
}
