//! Attribute selection, and the variables of `with`.

use std::cell::Cell;

use super::{Evaluator, Result};
use crate::attrs::{AttrRef, Attrs};
use crate::env::Env;
use crate::error::{ErrorKind, EvalError};
use crate::expr::{Expr, SelectPath, Step, WithVariable};
use crate::position::{Origin, PosIdx};
use crate::symbol::Symbol;
use crate::value::{Bool, Value};

impl<'a> Evaluator<'a> {
    #[inline(never)]
    pub(super) fn eval_select(
        &mut self,
        expr: &'a Expr<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let &Expr::Select {
            base,
            name,
            position,
            ref hint,
        } = expr
        else {
            unreachable!("a selection has a base");
        };
        self.check_stack()?;
        let attrs = match self.eval(base, env)? {
            Value::Attrs(attrs) => attrs,
            other => return Err(self.select_from_other(other, position)),
        };
        let Some(slot) = attrs.value_hinted(name, hint) else {
            return Err(self.missing_attribute(attrs, name).at(position));
        };
        let value = slot.get();
        if value.is_whnf() {
            return Ok(value);
        }
        self.select_forced(attrs, (name, hint), position)
    }

    fn select_forced(
        &mut self,
        attrs: &'a Attrs<'a>,
        (name, hint): (Symbol, &Cell<u32>),
        position: PosIdx,
    ) -> Result<Value<'a>> {
        let attr = attrs.get_hinted(name, hint).expect("it was found before");
        let at = if attr.position.is_some() {
            attr.position
        } else {
            position
        };
        self.force_slot(attr.value, at)
            .map_err(|error| self.trace_select(error, attr.position, name))
    }

    #[cold]
    fn select_from_other(&mut self, value: Value<'a>, position: PosIdx) -> Box<EvalError> {
        self.type_error("a set", value)
            .trace(position, "while selecting an attribute")
    }

    #[cold]
    fn trace_select(&self, error: Box<EvalError>, defined: PosIdx, name: Symbol) -> Box<EvalError> {
        if self.is_internal(defined) {
            return error;
        }
        let name = self.shown_name(name);
        error.trace(defined, format!("while evaluating the attribute '{name}'"))
    }

    /// There is no position, or it is not the user's.
    fn is_internal(&self, position: PosIdx) -> bool {
        self.positions
            .resolve(position)
            .is_none_or(|place| matches!(place.origin, Origin::Internal(_)))
    }

    /// "attribute 'x' missing", with near names.
    #[cold]
    pub(crate) fn missing_attribute(&self, attrs: &'a Attrs<'a>, name: Symbol) -> Box<EvalError> {
        let message = format!("attribute '{}' missing", self.shown_name(name));
        let names = attrs
            .entries(self.arena)
            .iter()
            .map(|attr| self.symbols.bytes(attr.name));
        EvalError::new(ErrorKind::Eval, message).suggest(self.symbols.bytes(name), names)
    }

    #[inline]
    fn step_name(&mut self, step: Step<'a>, env: &Env<'_, 'a>) -> Result<Symbol> {
        match step {
            Step::Static(name, _) => Ok(name),
            Step::Dynamic(expr) => self.dynamic_name(expr, env),
        }
    }

    #[inline(never)]
    fn dynamic_name(&mut self, expr: &'a Expr<'a>, env: &Env<'_, 'a>) -> Result<Symbol> {
        let value = self.eval(expr, env)?;
        let name = self.expect_string_no_context(
            value,
            expr.position(),
            "while evaluating an attribute name",
        )?;
        Ok(self.symbols.intern(name))
    }

    #[inline(never)]
    pub(super) fn eval_select_path(
        &mut self,
        select: &'a SelectPath<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        self.check_stack()?;
        let base = self.eval(select.base, env)?;
        let position = select.position;
        let mut found: Option<AttrRef<'a>> = None;
        for &step in select.path {
            let defined = found.map_or(PosIdx::NONE, |attr| attr.position);
            let name = match self.step_name(step, env) {
                Ok(name) => name,
                Err(error) => return Err(self.trace_steps(error, defined, select, env)),
            };
            let here = match found.map(|attr| attr.value) {
                None => base,
                Some(slot) => match self.force_slot(slot, position) {
                    Ok(value) => value,
                    Err(error) => return Err(self.trace_steps(error, defined, select, env)),
                },
            };
            let attr = match here {
                Value::Attrs(attrs) => find(attrs, step, name),
                _ => None,
            };
            if attr.is_none() {
                if let Some(default) = select.default {
                    return self.eval(default, env);
                }
                let error = match here {
                    Value::Attrs(attrs) => self.missing_attribute(attrs, name).at(position),
                    other => self.select_from_other(other, position),
                };
                return Err(self.trace_steps(error, defined, select, env));
            }
            found = attr;
        }
        let attr = found.expect("the parser makes no empty path");
        let at = if attr.position.is_some() {
            attr.position
        } else {
            position
        };
        self.force_slot(attr.value, at)
            .map_err(|error| self.trace_steps(error, attr.position, select, env))
    }

    #[cold]
    fn trace_steps(
        &mut self,
        error: Box<EvalError>,
        defined: PosIdx,
        select: &'a SelectPath<'a>,
        env: &Env<'_, 'a>,
    ) -> Box<EvalError> {
        if self.is_internal(defined) {
            return error;
        }
        let path = self.path_text(select, env);
        error.trace(defined, format!("while evaluating the attribute '{path}'"))
    }

    /// An attribute path for messages: names that cannot be evaluated as they are written.
    fn path_text(&mut self, select: &'a SelectPath<'a>, env: &Env<'_, 'a>) -> String {
        let mut names = Vec::with_capacity(select.path.len());
        for (index, &step) in select.path.iter().enumerate() {
            names.push(match self.step_name(step, env) {
                Ok(name) => self.shown_name(name),
                Err(_) => format!(
                    "\"${{{}}}\"",
                    self.attribute_name_text(select.position, index)
                ),
            });
        }
        names.join(".")
    }

    #[inline(never)]
    pub(super) fn eval_has_attr(
        &mut self,
        base: &'a Expr<'a>,
        path: &'a [Step<'a>],
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        self.check_stack()?;
        let mut value = self.eval(base, env)?;
        for (index, &step) in path.iter().enumerate() {
            let name = self.step_name(step, env)?;
            let Value::Attrs(attrs) = value else {
                return Ok(Value::Bool(Bool::False));
            };
            let Some(attr) = find(attrs, step, name) else {
                return Ok(Value::Bool(Bool::False));
            };
            if index + 1 < path.len() {
                value = self.force_slot(attr.value, base.position())?;
            }
        }
        Ok(Value::Bool(Bool::True))
    }

    #[inline(never)]
    pub(super) fn eval_with_variable(
        &mut self,
        variable: &'a WithVariable<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        for &(depth, position) in variable.scopes {
            let mut scope = env.slot(&self.levels, depth, 0).get();
            if !scope.is_whnf() {
                scope = self.force_slot(env.arena_slot(&self.levels, depth, 0), position)?;
            }
            let attrs = self.expect_attrs(scope, position, WITH_SCOPE)?;
            if let Some(slot) = attrs.value_hinted(variable.name, &variable.hint) {
                return self.force_slot(slot, variable.position);
            }
        }
        let name = self.symbols.text(variable.name);
        Err(EvalError::new(
            ErrorKind::UndefinedVariable,
            format!("undefined variable '{name}'"),
        )
        .at(variable.position))
    }
}

/// The attribute that `step` names `name`.
#[inline]
fn find<'a>(attrs: &'a Attrs<'a>, step: Step<'a>, name: Symbol) -> Option<AttrRef<'a>> {
    match step {
        Step::Static(_, hint) => attrs.get_hinted(name, hint),
        Step::Dynamic(_) => attrs.get(name),
    }
}

const WITH_SCOPE: &str = "while evaluating the first subexpression of a with expression";
