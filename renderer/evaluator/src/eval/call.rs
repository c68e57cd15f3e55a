//! Calling functions.

use super::{Evaluator, Result};
use crate::builtins::Builtin;
use crate::env::Env;
use crate::error::{ErrorKind, EvalError};
use crate::expr::{Expr, LambdaCode, Lazy};
use crate::limits::Callee;
use crate::position::PosIdx;
use crate::value::{Lambda, PartialApplication, Slot, Value};

/// Calls with more arguments than this take a slower way.
const MOST_ARGS: usize = 8;
/// A builtin with more arguments takes a slower way, too; none of our own has.
const MOST_BUILTIN_ARGS: usize = 3;
/// Levels with more variables than this are made in the arena.
pub(crate) const MOST_ON_STACK: usize = 4;

impl<'a> Evaluator<'a> {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "it is called last, for what returns this"
    )]
    #[inline(never)]
    pub(super) fn eval_lambda(
        &mut self,
        code: &'a LambdaCode<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        Ok(self.make_lambda(code, env))
    }

    #[inline]
    pub(super) fn make_lambda(&mut self, code: &'a LambdaCode<'a>, env: &Env<'_, 'a>) -> Value<'a> {
        let level = self.capture(env);
        Value::Lambda(self.arena.alloc(Lambda { code, level }))
    }

    #[inline(never)]
    pub(super) fn eval_call(&mut self, expr: &'a Expr<'a>, env: &Env<'_, 'a>) -> Result<Value<'a>> {
        let &Expr::Call {
            function,
            args,
            position,
        } = expr
        else {
            unreachable!("a call has arguments");
        };
        self.check_stack()?;
        match self.eval(function, env)? {
            Value::Lambda(lambda) if lambda.code.arity() == args.len() => {
                self.call_exactly(lambda, args, position, env)
            }
            Value::Builtin(builtin)
                if builtin.arity as usize == args.len() && args.len() <= MOST_BUILTIN_ARGS =>
            {
                self.call_builtin(builtin, args, position, env)
            }
            function => self.call_otherwise(function, expr, env),
        }
    }

    /// A call of anything but a function that gets just the arguments it wants.
    #[inline(never)]
    fn call_otherwise(
        &mut self,
        function: Value<'a>,
        expr: &'a Expr<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let &Expr::Call { args, position, .. } = expr else {
            unreachable!("a call has arguments");
        };
        if args.len() <= MOST_ARGS {
            let mut values = [Value::Null; MOST_ARGS];
            for (value, arg) in values.iter_mut().zip(args) {
                *value = self.delay_boxed(arg, env);
            }
            return self.call_here(function, &values[..args.len()], position);
        }
        let mut values = vec![Value::Null; args.len()];
        for (value, arg) in values.iter_mut().zip(args) {
            *value = self.delay_boxed(arg, env);
        }
        self.call_here(function, &values, position)
    }

    /// A builtin that gets just the arguments it wants.
    #[inline]
    fn call_builtin(
        &mut self,
        builtin: &'a Builtin<'a>,
        args: &'a [Lazy<'a>],
        position: PosIdx,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let mut values = [Value::Null; MOST_BUILTIN_ARGS];
        let values = &mut values[..args.len()];
        for (value, arg) in values.iter_mut().zip(args) {
            *value = self.delay_boxed(arg, env);
        }
        self.enter_builtin(builtin, values, position)
    }

    /// A function that gets just the arguments it wants: they go straight into its level.
    #[inline]
    fn call_exactly(
        &mut self,
        lambda: &'a Lambda<'a>,
        args: &'a [Lazy<'a>],
        position: PosIdx,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let code = lambda.code;
        if !code.starts_on_stack {
            let (level, slots) = self.open_level(lambda.level, code.slots as usize);
            for (slot, arg) in slots.iter().zip(args) {
                slot.set(self.delay(arg, env));
            }
            let inner = Env::opened(lambda.level, level, slots);
            return self.enter_in_arena(lambda, &inner, position);
        }
        let slots = [const { Slot::new(Value::Null) }; MOST_ON_STACK];
        let slots = &slots[..args.len()];
        for (slot, arg) in slots.iter().zip(args) {
            slot.set(self.delay_boxed(arg, env));
        }
        self.enter_on_stack(lambda, slots, position)
    }

    /// [`Evaluator::call`] with one argument, the fast way for what lists are mapped with.
    #[inline]
    pub(crate) fn call_1(
        &mut self,
        function: Value<'a>,
        a: Value<'a>,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        match function {
            Value::Lambda(lambda) if lambda.code.arity() == 1 => {
                if lambda.code.starts_on_stack {
                    self.enter_on_stack(lambda, &[Slot::new(a)], position)
                } else {
                    self.call_in_arena(lambda, &[a], position)
                }
            }
            _ => self.call(function, &[a], position),
        }
    }

    /// [`Evaluator::call`] with two arguments, the fast way for what lists are folded and sorted with.
    #[inline]
    pub(crate) fn call_2(
        &mut self,
        function: Value<'a>,
        a: Value<'a>,
        b: Value<'a>,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        match function {
            Value::Lambda(lambda) if lambda.code.arity() == 2 => {
                if lambda.code.starts_on_stack {
                    self.enter_on_stack(lambda, &[Slot::new(a), Slot::new(b)], position)
                } else {
                    self.call_in_arena(lambda, &[a, b], position)
                }
            }
            _ => self.call(function, &[a, b], position),
        }
    }

    /// Calls a function. Arguments are values that may be copied.
    pub fn call(
        &mut self,
        function: Value<'a>,
        args: &[Value<'a>],
        position: PosIdx,
    ) -> Result<Value<'a>> {
        self.on_stack(|evaluator| evaluator.call_here(function, args, position))
    }

    fn call_here(
        &mut self,
        function: Value<'a>,
        args: &[Value<'a>],
        position: PosIdx,
    ) -> Result<Value<'a>> {
        let (mut function, mut args) = (self.force(function, position)?, args);
        while !args.is_empty() {
            function = match function {
                Value::Lambda(lambda) => {
                    let arity = lambda.code.arity();
                    if args.len() < arity {
                        return Ok(self.partial(function, args));
                    }
                    let (now, later) = args.split_at(arity);
                    args = later;
                    self.call_lambda(lambda, now, position)?
                }
                Value::Builtin(builtin) => {
                    let arity = builtin.arity as usize;
                    if args.len() < arity {
                        return Ok(self.partial(function, args));
                    }
                    let (now, later) = args.split_at(arity);
                    args = later;
                    self.enter_builtin(builtin, now, position)?
                }
                Value::PartialApplication(partial) => {
                    let (first, all) = (partial.args.len(), partial.args.len() + args.len());
                    if all > MOST_ARGS {
                        let all = [partial.args, args].concat();
                        return self.call_here(partial.function, &all, position);
                    }
                    let mut values = [Value::Null; MOST_ARGS];
                    values[..first].copy_from_slice(partial.args);
                    values[first..all].copy_from_slice(args);
                    return self.call_here(partial.function, &values[..all], position);
                }
                Value::Attrs(attrs) => {
                    let Some(functor) = attrs.get(self.names.functor) else {
                        return Err(self.not_a_function(function, position));
                    };
                    let (now, later) = (args[0], &args[1..]);
                    args = later;
                    // A functor may be its own functor.
                    self.enter_call(position)?;
                    self.check_stack()?;
                    let result =
                        self.call_here(functor.value.share(), &[function, now], functor.position);
                    self.call_depth -= 1;
                    result.map_err(|error| {
                        error.trace(
                            position,
                            "while calling a functor (an attribute set with a '__functor' attribute)",
                        )
                    })?
                }
                other => return Err(self.not_a_function(other, position)),
            };
        }
        Ok(function)
    }

    #[inline]
    fn enter_builtin(
        &mut self,
        builtin: &Builtin<'a>,
        args: &[Value<'a>],
        position: PosIdx,
    ) -> Result<Value<'a>> {
        self.enter(Callee::Builtin(builtin.name), position)?;
        let result = (builtin.function)(self, args, PosIdx::NONE);
        self.call_depth -= 1;
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(trace_builtin(error, builtin.name, position)),
        }
    }

    #[cold]
    fn not_a_function(&mut self, value: Value<'a>, position: PosIdx) -> Box<EvalError> {
        let shown = self.show_typed(value);
        EvalError::new(
            ErrorKind::Type,
            format!("attempt to call something which is not a function but {shown}"),
        )
        .at(position)
    }

    fn partial(&mut self, function: Value<'a>, args: &[Value<'a>]) -> Value<'a> {
        let args = self.arena.alloc_slice_copy(args);
        Value::PartialApplication(self.arena.alloc(PartialApplication { function, args }))
    }

    fn call_lambda(
        &mut self,
        lambda: &'a Lambda<'a>,
        args: &[Value<'a>],
        position: PosIdx,
    ) -> Result<Value<'a>> {
        let code = lambda.code;
        if !code.starts_on_stack {
            return self.call_in_arena(lambda, args, position);
        }
        let slots = [const { Slot::new(Value::Null) }; MOST_ON_STACK];
        for (slot, arg) in slots.iter().zip(args) {
            slot.set(*arg);
        }
        self.enter_on_stack(lambda, &slots[..args.len()], position)
    }

    /// As many arguments as the function takes go into a level in the arena.
    fn call_in_arena(
        &mut self,
        lambda: &'a Lambda<'a>,
        args: &[Value<'a>],
        position: PosIdx,
    ) -> Result<Value<'a>> {
        let (level, slots) = self.open_level(lambda.level, lambda.code.slots as usize);
        for (slot, arg) in slots.iter().zip(args) {
            slot.set(*arg);
        }
        let env = Env::opened(lambda.level, level, slots);
        self.enter_in_arena(lambda, &env, position)
    }

    #[inline]
    pub(crate) fn enter_call(&mut self, position: PosIdx) -> Result<()> {
        self.enter(Callee::Other, position)
    }

    #[inline]
    fn enter(&mut self, callee: Callee<'a>, position: PosIdx) -> Result<()> {
        if self.call_depth >= self.watch.depth() {
            self.look_after(callee, position)?;
        }
        self.call_depth += 1;
        Ok(())
    }

    #[inline]
    pub(crate) fn leave_call(&mut self) {
        self.call_depth -= 1;
    }

    #[inline]
    fn enter_on_stack(
        &mut self,
        lambda: &'a Lambda<'a>,
        slots: &[Slot<'a>],
        position: PosIdx,
    ) -> Result<Value<'a>> {
        self.enter(Callee::Function(lambda.code), position)?;
        let env = Env::on_stack(lambda.level, slots);
        let result = self.eval(lambda.code.body, &env);
        self.call_depth -= 1;
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(self.trace_call(error, lambda.code, position)),
        }
    }

    fn enter_in_arena(
        &mut self,
        lambda: &'a Lambda<'a>,
        env: &Env<'a, 'a>,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        self.enter(Callee::Function(lambda.code), position)?;
        let code = lambda.code;
        if let Some(pattern) = &code.pattern
            && let Err(error) = self.match_pattern(code, pattern, env, position)
        {
            self.call_depth -= 1;
            return Err(error);
        }
        let result = self.eval(code.body, env);
        self.call_depth -= 1;
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(self.trace_call(error, code, position)),
        }
    }

    #[cold]
    fn trace_call(
        &self,
        error: Box<EvalError>,
        code: &LambdaCode<'a>,
        position: PosIdx,
    ) -> Box<EvalError> {
        if !self.settings.show_trace {
            return error;
        }
        let name = code
            .name
            .get()
            .map_or("anonymous lambda".to_owned(), |name| {
                format!("'{}'", self.symbols.text(name))
            });
        let own = code.positions[code.arity() - 1];
        let error = error.trace(own, format!("while calling {name}"));
        trace_call_site(error, position)
    }
}

#[cold]
fn trace_builtin(error: Box<EvalError>, name: &str, position: PosIdx) -> Box<EvalError> {
    if name == "addErrorContext" {
        return error;
    }
    error.trace(position, format!("while calling the '{name}' builtin"))
}

#[cold]
pub(super) fn trace_call_site(error: Box<EvalError>, position: PosIdx) -> Box<EvalError> {
    if position.is_some() {
        error.trace(position, "from call site")
    } else {
        error
    }
}
