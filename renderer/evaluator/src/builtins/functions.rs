//! Builtins on functions, and closures of sets.

use super::{Global, Row};
use crate::attrs::{Attr, AttrRef, Attrs};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::value::{Slot, Value};

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    vec![
        ("functionArgs", 1, Global::Underscored, function_args),
        ("genericClosure", 1, Global::Underscored, generic_closure),
    ]
}

const NONE: PosIdx = PosIdx::NONE;

fn function_args<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let function = evaluator.force(args[0], NONE)?;
    let (code, given) = match function {
        Value::Lambda(lambda) => (Some(lambda.code), 0),
        Value::PartialApplication(partial) => match partial.function {
            Value::Lambda(lambda) => (Some(lambda.code), partial.args.len()),
            _ => (None, 0),
        },
        Value::Builtin(_) => (None, 0),
        _ => {
            return Err(EvalError::new(
                ErrorKind::Type,
                "'functionArgs' requires a function",
            ));
        }
    };
    // Of several parameters only the last can be a pattern.
    let pattern = code
        .filter(|code| given + 1 == code.arity())
        .and_then(|code| code.pattern.as_ref());
    let formals = pattern.map_or(&[][..], |pattern| pattern.formals);
    let arguments = formals.iter().map(|formal| {
        let has_default = Value::from(formal.default.is_some());
        Attr::new(formal.name, formal.position, has_default)
    });
    let arguments = arguments.collect();
    Ok(Value::Attrs(Attrs::from_sorted(evaluator.arena, arguments)))
}

/// Keys that were seen, in their order.
struct Keys<'a> {
    sorted: Vec<(Value<'a>, Value<'a>)>,
}

impl<'a> Keys<'a> {
    /// Adds a key with its element unless it is there already; whether it was added.
    fn add(
        &mut self,
        evaluator: &mut Evaluator<'a>,
        key: Value<'a>,
        element: Value<'a>,
    ) -> Result<bool> {
        let (mut low, mut high) = (0, self.sorted.len());
        while low < high {
            let middle = low.midpoint(high);
            let (other, other_element) = self.sorted[middle];
            let less = evaluator.less(key, other, NONE, "").map_err(|error| {
                let (shown, other) = (
                    evaluator.show_short(element),
                    evaluator.show_short(other_element),
                );
                error
                    .trace(NONE, format!("with element {other}"))
                    .trace(NONE, format!("while comparing element {shown}"))
            })?;
            if less {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        if let Some(&(below, _)) = low.checked_sub(1).and_then(|place| self.sorted.get(place))
            && !evaluator.less(below, key, NONE, "")?
        {
            return Ok(false);
        }
        self.sorted.insert(low, (key, element));
        Ok(true)
    }
}

fn generic_closure<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let names = evaluator.names;
    let attrs = evaluator.expect_attrs(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.genericClosure",
    )?;
    let what = "in the attrset passed as argument to builtins.genericClosure";
    let start = evaluator.required_attr(attrs, names.start_set, what)?;
    let start = evaluator.expect_list(
        start.value.share(),
        NONE,
        "while evaluating the 'startSet' attribute passed as argument to builtins.genericClosure",
    )?;
    if start.is_empty() {
        return Ok(Value::list(evaluator.arena, start));
    }
    let operator = evaluator.required_attr(attrs, names.operator, what)?;
    let operator = evaluator.expect_function(
        operator.value.share(),
        NONE,
        "while evaluating the 'operator' attribute passed as argument to builtins.genericClosure",
    )?;
    let mut waiting: std::collections::VecDeque<Value<'a>> =
        start.iter().map(Slot::share).collect();
    let mut keys = Keys { sorted: Vec::new() };
    let mut result = Vec::new();
    while let Some(element) = waiting.pop_front() {
        let key = closure_key(evaluator, element).map_err(|error| {
            let shown = evaluator.show_short(element);
            error.trace(NONE, format!("in genericClosure element {shown}"))
        })?;
        let key = evaluator.force_slot(key.value, NONE)?;
        if !keys.add(evaluator, key, element)? {
            continue;
        }
        result.push(element);
        let more = closure_step(evaluator, operator, element).map_err(|error| {
            let shown = evaluator.show_short(element);
            error.trace(
                NONE,
                format!("while calling operator on genericClosure element {shown}"),
            )
        })?;
        waiting.extend(more.iter().map(Slot::share));
    }
    Ok(evaluator.list_of(&result))
}

fn closure_key<'a>(evaluator: &mut Evaluator<'a>, element: Value<'a>) -> Result<AttrRef<'a>> {
    let attrs = evaluator.expect_attrs(element, NONE, "")?;
    evaluator.required_attr(attrs, evaluator.names.key, "")
}

fn closure_step<'a>(
    evaluator: &mut Evaluator<'a>,
    operator: Value<'a>,
    element: Value<'a>,
) -> Result<&'a [Slot<'a>]> {
    let more = evaluator.call(operator, &[element], NONE)?;
    let what =
        "while evaluating the return value of the `operator` passed to builtins.genericClosure";
    let more = evaluator.expect_list(more, NONE, what)?;
    for element in more {
        evaluator.force_slot(element, NONE)?;
    }
    Ok(more)
}
