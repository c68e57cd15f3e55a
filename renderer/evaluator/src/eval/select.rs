//! Attribute selection, and the variables of `with`.

use std::cell::Cell;

use crate::attrs::{Attr, Attrs};
use crate::env::Env;
use crate::error::{ErrorKind, EvalError};
use crate::expr::{Expr, SelectPath, Step, WithVariable};
use crate::position::PosIdx;
use crate::symbol::Symbol;
use crate::value::Value;

use super::{Evaluator, Result};

impl<'a> Evaluator<'a> {
    #[inline]
    pub(super) fn eval_select(
        &mut self,
        base: &'a Expr<'a>,
        name: Symbol,
        position: PosIdx,
        hint: &Cell<u32>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let value = match self.eval(base, env) {
            Ok(value) => value,
            Err(error) => return Err(error.trace(base.position(), "while selecting an attribute")),
        };
        let Value::Attrs(attrs) = value else {
            return Err(self.select_from_other(value, name, position));
        };
        let Some(attr) = attrs.get_hinted(name, hint) else {
            return Err(self
                .missing_attribute(attrs, name)
                .trace(position, self.selecting(&[name])));
        };
        let value = attr.value.get();
        if value.is_whnf() {
            return Ok(value);
        }
        self.select_forced(attr, name, position)
    }

    fn select_forced(
        &mut self,
        attr: &'a Attr<'a>,
        name: Symbol,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        let at = if attr.position.is_some() {
            attr.position
        } else {
            position
        };
        self.force_slot(&attr.value, at)
            .map_err(|error| self.trace_select(error, attr.position, &[name], &[name], position))
    }

    #[cold]
    fn select_from_other(
        &mut self,
        value: Value<'a>,
        name: Symbol,
        position: PosIdx,
    ) -> Box<EvalError> {
        let error = self.type_error("a set", value).at(position);
        let error = error.trace(position, "while selecting an attribute");
        error.trace(position, self.selecting(&[name]))
    }

    fn selecting(&self, path: &[Symbol]) -> String {
        format!("while evaluating the attribute '{}'", self.path_text(path))
    }

    fn path_text(&self, path: &[Symbol]) -> String {
        let names: Vec<_> = path.iter().map(|&name| self.symbols.text(name)).collect();
        names.join(".")
    }

    #[cold]
    fn trace_select(
        &self,
        error: Box<EvalError>,
        defined: PosIdx,
        found: &[Symbol],
        path: &[Symbol],
        position: PosIdx,
    ) -> Box<EvalError> {
        let internal = self
            .positions
            .resolve(defined)
            .is_none_or(|place| matches!(place.origin, crate::position::Origin::Internal(_)));
        let error = if internal {
            error
        } else {
            error.trace(
                defined,
                format!("from the definition of '{}'", self.path_text(found)),
            )
        };
        error.trace(position, self.selecting(path))
    }

    /// "attribute 'x' missing", with near names.
    #[cold]
    pub(crate) fn missing_attribute(&self, attrs: &'a Attrs<'a>, name: Symbol) -> Box<EvalError> {
        let message = format!("attribute '{}' missing", self.symbols.text(name));
        let names = attrs
            .entries(self.arena)
            .iter()
            .map(|attr| self.symbols.bytes(attr.name));
        EvalError::new(ErrorKind::Eval, message).suggest(self.symbols.bytes(name), names)
    }

    fn step_name(&mut self, step: Step<'a>, env: &Env<'_, 'a>) -> Result<Symbol> {
        match step {
            Step::Static(name) => Ok(name),
            Step::Dynamic(expr) => {
                let value = self.eval(expr, env)?;
                let name = self.expect_string_no_context(
                    value,
                    expr.position(),
                    "while evaluating an attribute name",
                )?;
                Ok(self.symbols.intern(name))
            }
        }
    }

    pub(super) fn eval_select_path(
        &mut self,
        select: &'a SelectPath<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let mut value = match self.eval(select.base, env) {
            Ok(value) => value,
            Err(error) => {
                return Err(error.trace(select.base.position(), "while selecting an attribute"));
            }
        };
        let position = select.position;
        let mut found = Vec::with_capacity(select.path.len());
        let mut defined = PosIdx::NONE;
        for (index, &step) in select.path.iter().enumerate() {
            let name = match self.step_name(step, env) {
                Ok(name) => name,
                Err(error) => return Err(self.trace_steps(error, defined, &found, select, env)),
            };
            let attr = match (value, select.default) {
                (Value::Attrs(attrs), default) => match (attrs.get(name), default) {
                    (Some(attr), _) => attr,
                    (None, Some(default)) => return self.eval(default, env),
                    (None, None) => {
                        let error = self.missing_attribute(attrs, name);
                        return Err(self.trace_steps(error, defined, &found, select, env));
                    }
                },
                (_, Some(default)) => return self.eval(default, env),
                (other, None) => {
                    let error = self.type_error("a set", other).at(position);
                    let error = error.trace(position, "while selecting an attribute");
                    return Err(self.trace_steps(error, defined, &found, select, env));
                }
            };
            found.push(name);
            defined = attr.position;
            let last = index + 1 == select.path.len();
            let at = if last && defined.is_some() {
                defined
            } else {
                position
            };
            value = match self.force_slot(&attr.value, at) {
                Ok(value) => value,
                Err(error) => {
                    let error = if last || select.default.is_some() {
                        error
                    } else {
                        error.trace(position, "while selecting an attribute")
                    };
                    return Err(self.trace_steps(error, defined, &found, select, env));
                }
            };
        }
        Ok(value)
    }

    #[cold]
    fn trace_steps(
        &mut self,
        error: Box<EvalError>,
        defined: PosIdx,
        found: &[Symbol],
        select: &'a SelectPath<'a>,
        env: &Env<'_, 'a>,
    ) -> Box<EvalError> {
        let names: Vec<_> = select
            .path
            .iter()
            .map(|&step| self.step_name(step, env))
            .collect();
        let path: Vec<_> = names.into_iter().filter_map(Result::ok).collect();
        self.trace_select(error, defined, found, &path, select.position)
    }

    pub(super) fn eval_has_attr(
        &mut self,
        base: &'a Expr<'a>,
        path: &'a [Step<'a>],
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let mut value = match self.eval(base, env) {
            Ok(value) => value,
            Err(error) => return Err(error.trace(base.position(), "in the argument of '?'")),
        };
        for (index, &step) in path.iter().enumerate() {
            let name = self.step_name(step, env)?;
            let Value::Attrs(attrs) = value else {
                return Ok(Value::Bool(false));
            };
            let Some(attr) = attrs.get(name) else {
                return Ok(Value::Bool(false));
            };
            if index + 1 < path.len() {
                value = self.force_slot(&attr.value, base.position())?;
            }
        }
        Ok(Value::Bool(true))
    }

    pub(super) fn eval_with_variable(
        &mut self,
        variable: &'a WithVariable<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        for &(depth, position) in variable.scopes {
            let mut scope = env.slot(depth, 0).get();
            if !scope.is_whnf() {
                scope = self
                    .force_slot(env.arena_slot(depth, 0), position)
                    .map_err(|error| error.trace(position, WITH_SCOPE))?;
            }
            let attrs = self.expect_attrs(scope, position, WITH_SCOPE)?;
            if let Some(attr) = attrs.get(variable.name) {
                return self.force_slot(&attr.value, variable.position);
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

const WITH_SCOPE: &str = "while evaluating the first subexpression of a with expression";
