//! Builtins on lists.

use super::{Global, Row};
use crate::attrs::{Attr, Attrs};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::sort::peeksort;
use crate::value::{Bool, Mapped, MappedItem, MappedOver, Slot, Value};

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::{Bare, Underscored};
    vec![
        ("all", 2, Underscored, all),
        ("any", 2, Underscored, any),
        ("concatLists", 1, Underscored, concat_lists),
        ("concatMap", 2, Underscored, concat_map),
        ("elem", 2, Underscored, elem),
        ("elemAt", 2, Underscored, elem_at),
        ("filter", 2, Underscored, filter),
        ("foldl'", 3, Underscored, foldl),
        ("genList", 2, Underscored, gen_list),
        ("groupBy", 2, Underscored, group_by),
        ("head", 1, Underscored, head),
        ("length", 1, Underscored, length),
        ("map", 2, Bare, map),
        ("partition", 2, Underscored, partition),
        ("sort", 2, Underscored, sort),
        ("tail", 1, Underscored, tail),
    ]
}

const NONE: PosIdx = PosIdx::NONE;

impl<'a> Evaluator<'a> {
    /// A list of values that may be copied.
    pub(crate) fn list_of(&self, values: &[Value<'a>]) -> Value<'a> {
        let items = self
            .arena
            .alloc_slice_fill_with(values.len(), |index| Slot::new(values[index]));
        Value::list(self.arena, items)
    }
}

fn all<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.all",
    )?;
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.all",
    )?;
    let what = "while evaluating the return value of the function passed to builtins.all";
    for item in items {
        let result = evaluator.call_1(function, item.share(), NONE)?;
        if !evaluator.expect_bool(result, NONE, what)? {
            return Ok(Value::Bool(Bool::False));
        }
    }
    Ok(Value::Bool(Bool::True))
}

fn any<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.any",
    )?;
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.any",
    )?;
    let what = "while evaluating the return value of the function passed to builtins.any";
    for item in items {
        let result = evaluator.call_1(function, item.share(), NONE)?;
        if evaluator.expect_bool(result, NONE, what)? {
            return Ok(Value::Bool(Bool::True));
        }
    }
    Ok(Value::Bool(Bool::False))
}

fn concat_lists<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let lists = evaluator.expect_list(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.concatLists",
    )?;
    let what = "while evaluating a value of the list passed to builtins.concatLists";
    let mut parts = Vec::with_capacity(lists.len());
    for list in lists {
        parts.push(evaluator.expect_list(list.share(), NONE, what)?);
    }
    joined(evaluator, &parts)
}

/// One list of all elements; the only non-empty part is shared as it is.
fn joined<'a>(evaluator: &Evaluator<'a>, parts: &[&'a [Slot<'a>]]) -> Result<Value<'a>> {
    let mut filled = parts.iter().filter(|part| !part.is_empty());
    if let (Some(only), None) = (filled.next(), filled.next()) {
        return Ok(Value::list(evaluator.arena, only));
    }
    let len: usize = parts.iter().map(|part| part.len()).sum();
    evaluator.make_room(len.saturating_mul(size_of::<Slot<'_>>()))?;
    let mut items = bumpalo::collections::Vec::with_capacity_in(len, evaluator.arena);
    for part in parts {
        items.extend(part.iter().map(|item| Slot::new(item.share())));
    }
    Ok(Value::list(evaluator.arena, items.into_bump_slice()))
}

fn concat_map<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.concatMap",
    )?;
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.concatMap",
    )?;
    let what = "while evaluating the return value of the function passed to builtins.concatMap";
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        let list = evaluator.call_1(function, item.share(), NONE)?;
        let position = match function {
            Value::Lambda(lambda) => lambda.code.positions[0],
            _ => NONE,
        };
        parts.push(evaluator.expect_list(list, position, what)?);
    }
    joined(evaluator, &parts)
}

fn elem<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.elem",
    )?;
    let wanted = evaluator.arena.alloc(Slot::new(args[0]));
    for item in items {
        let found = evaluator.equal_slots(wanted, item, NONE)?;
        if found {
            return Ok(Value::Bool(Bool::True));
        }
    }
    Ok(Value::Bool(Bool::False))
}

fn elem_at<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let index = evaluator.expect_int(
        args[1],
        NONE,
        "while evaluating the second argument passed to 'builtins.elemAt'",
    )?;
    let items = evaluator.expect_list(
        args[0],
        NONE,
        "while evaluating the first argument passed to 'builtins.elemAt'",
    )?;
    let Some(item) = usize::try_from(index)
        .ok()
        .and_then(|index| items.get(index))
    else {
        let size = items.len();
        let message =
            format!("'builtins.elemAt' called with index {index} on a list of size {size}");
        return Err(EvalError::new(ErrorKind::Eval, message));
    };
    evaluator.force_slot(item, NONE)
}

fn filter<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.filter",
    )?;
    if items.is_empty() {
        return evaluator.force(args[1], NONE);
    }
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.filter",
    )?;
    let what =
        "while evaluating the return value of the filtering function passed to builtins.filter";
    let mut kept = Vec::new();
    for item in items {
        let result = evaluator.call_1(function, item.share(), NONE)?;
        if evaluator.expect_bool(result, NONE, what)? {
            kept.push(item.share());
        }
    }
    if kept.len() == items.len() {
        return Ok(Value::list(evaluator.arena, items));
    }
    Ok(evaluator.list_of(&kept))
}

fn foldl<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    position: PosIdx,
) -> Result<Value<'a>> {
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.foldlStrict",
    )?;
    let items = evaluator.expect_list(
        args[2],
        NONE,
        "while evaluating the third argument passed to builtins.foldlStrict",
    )?;
    let mut result = args[1];
    for item in items {
        result = evaluator.call_2(function, result, item.share(), NONE)?;
    }
    evaluator.force(result, position)
}

fn gen_list<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let len = evaluator.expect_int(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.genList",
    )?;
    let Ok(count) = u32::try_from(len) else {
        return Err(EvalError::new(
            ErrorKind::Eval,
            format!("cannot create list of size {len}"),
        ));
    };
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.genList",
    )?;
    evaluator.make_room((count as usize).saturating_mul(size_of::<Slot<'_>>()))?;
    let mapped = evaluator.mapped(Mapped {
        function,
        called: std::cell::Cell::new(false),
        over: MappedOver::Indices,
    });
    let items = evaluator
        .arena
        .alloc_slice_fill_with(count as usize, |index| {
            Slot::new(Value::Mapped(MappedItem::new(mapped, index)))
        });
    Ok(Value::list(evaluator.arena, items))
}

fn group_by<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.groupBy",
    )?;
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.groupBy",
    )?;
    let what =
        "while evaluating the return value of the grouping function passed to builtins.groupBy";
    let mut groups: rustc_hash::FxHashMap<_, Vec<Value<'a>>> = rustc_hash::FxHashMap::default();
    for item in items {
        let name = evaluator.call_1(function, item.share(), NONE)?;
        let name = evaluator.expect_string_no_context(name, NONE, what)?;
        let name = evaluator.symbols.intern(name);
        groups.entry(name).or_default().push(item.share());
    }
    let attrs = groups
        .into_iter()
        .map(|(name, values)| Attr::new(name, NONE, evaluator.list_of(&values)))
        .collect();
    Ok(Value::Attrs(Attrs::from_unsorted(evaluator.arena, attrs)))
}

fn head<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let items = evaluator.expect_list(
        args[0],
        NONE,
        "while evaluating the first argument passed to 'builtins.head'",
    )?;
    match items.first() {
        Some(item) => evaluator.force_slot(item, NONE),
        None => Err(EvalError::new(
            ErrorKind::Eval,
            "'builtins.head' called on an empty list",
        )),
    }
}

fn length<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let items = evaluator.expect_list(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.length",
    )?;
    Ok(Value::Int(items.len() as i64))
}

fn map<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.map",
    )?;
    if items.is_empty() {
        return evaluator.force(args[1], NONE);
    }
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.map",
    )?;
    evaluator.make_room(size_of_val(items))?;
    let mapped = evaluator.mapped(Mapped {
        function,
        called: std::cell::Cell::new(false),
        over: MappedOver::Items(items),
    });
    let results = evaluator.arena.alloc_slice_fill_with(items.len(), |index| {
        Slot::new(Value::Mapped(MappedItem::new(mapped, index)))
    });
    Ok(Value::list(evaluator.arena, results))
}

fn partition<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.partition",
    )?;
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.partition",
    )?;
    let what =
        "while evaluating the return value of the partition function passed to builtins.partition";
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for item in items {
        evaluator.force_slot(item, NONE)?;
        let result = evaluator.call_1(function, item.share(), NONE)?;
        if evaluator.expect_bool(result, NONE, what)? {
            right.push(item.share());
        } else {
            wrong.push(item.share());
        }
    }
    let names = evaluator.names;
    let attrs = vec![
        Attr::new(names.right, NONE, evaluator.list_of(&right)),
        Attr::new(names.wrong, NONE, evaluator.list_of(&wrong)),
    ];
    Ok(Value::Attrs(Attrs::from_unsorted(evaluator.arena, attrs)))
}

fn sort<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let items = evaluator.expect_list(
        args[1],
        NONE,
        "while evaluating the second argument passed to builtins.sort",
    )?;
    if items.is_empty() {
        return evaluator.force(args[1], NONE);
    }
    let function = evaluator.expect_function(
        args[0],
        NONE,
        "while evaluating the first argument passed to builtins.sort",
    )?;
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        values.push(evaluator.force_slot(item, NONE)?);
    }
    let builtin_order = matches!(function, Value::Builtin(builtin) if builtin.name == "lessThan");
    if builtin_order {
        let what = "while evaluating the ordering function passed to builtins.sort";
        peeksort(&mut values, |left, right| {
            evaluator.look_after_if_due()?;
            evaluator.less(left, right, NONE, what)
        })?;
    } else {
        let what =
            "while evaluating the return value of the sorting function passed to builtins.sort";
        peeksort(&mut values, |left, right| {
            let result = evaluator.call_2(function, left, right, NONE)?;
            evaluator.expect_bool(result, NONE, what)
        })?;
    }
    Ok(evaluator.list_of(&values))
}

fn tail<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let items = evaluator.expect_list(
        args[0],
        NONE,
        "while evaluating the first argument passed to 'builtins.tail'",
    )?;
    match items {
        [_, rest @ ..] => Ok(Value::list(evaluator.arena, rest)),
        [] => Err(EvalError::new(
            ErrorKind::Eval,
            "'builtins.tail' called on an empty list",
        )),
    }
}
